from __future__ import annotations

from flask import Flask, render_template
from werkzeug.exceptions import HTTPException


class OutOfPaperError(Exception):
    pass


def init_app(app: Flask) -> None:
    @app.errorhandler(404)
    def not_found(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", text=error.description), 404

    @app.errorhandler(OutOfPaperError)
    def out_of_paper(_: OutOfPaperError) -> tuple[str, int, dict[str, str]]:
        return render_template("error.html", text="out of paper"), 507, {"X-Paper": "none"}

"""Two applications in one process. Each has its own checks; both have a check with the same name."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_ops import Check, Ops

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app() -> WSGIApplication:
    return DispatcherMiddleware(
        shop("books", [check("database", "books-down"), check("printer", "never")]),
        {"/toys": shop("toys", [check("database", "toys-down"), check("crane", "never")])},
    )


def shop(name: str, checks: list[Check]) -> Flask:
    app = Flask(name)

    @app.get("/items/<int:number>")
    def item(number: int) -> str:
        return f"{name} {number}"

    Ops(app, checks=checks, probes=True, metrics=True)
    return app


def check(name: str, marker: str) -> Check:
    """Return a check that fails if the file ``marker`` exists."""
    return Check(name, partial(_fail_if_exists, Path(os.environ["SHOP_FOLDER"]) / marker), interval=0.05, failures=1)


def _fail_if_exists(path: Path) -> None:
    if path.exists():
        raise ConnectionError(path.name)

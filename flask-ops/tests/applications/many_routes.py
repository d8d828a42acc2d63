"""An application with a thousand routes."""

from __future__ import annotations

from flask import Flask

ROUTES = 1000

app = Flask(__name__)


def view(item: int) -> str:
    return str(item)


for number in range(ROUTES):
    app.add_url_rule(f"/resources{number}/<int:item>", f"resource{number}", view, methods=["GET", "POST"])

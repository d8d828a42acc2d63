"""The service that is broken: without views and checks of its own, so that only faults make the difference."""

from __future__ import annotations

from flask import Blueprint, Flask

from service import app

_views = Blueprint("views", __name__)


def create_app() -> Flask:
    """Build it as Gunicorn does."""
    return app.create_app(views=_views, checks=())


@_views.get("/")
def index() -> str:
    """Answer at once."""
    return "well"

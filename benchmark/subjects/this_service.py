"""This service with everything on, with the views that all subjects have in place of its own."""

from __future__ import annotations

from flask import Blueprint, Flask

from benchmark.subjects.views import add_load, index
from service import app
from service.health import Check


def create_app() -> Flask:
    """Build it as Gunicorn does, with a check that asks nobody."""
    application = app.create_app(views=Blueprint("views", __name__), checks=[Check("always", lambda: None)])
    application.add_url_rule("/", "index", index)
    add_load(application)
    return application

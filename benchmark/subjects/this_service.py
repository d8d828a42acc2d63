"""This service with everything on, and the views that only the measurements need."""

from __future__ import annotations

from flask import Flask

from benchmark.subjects.views import add_load
from service import app


def create_app() -> Flask:
    """Build it as Gunicorn does."""
    application = app.create_app()
    add_load(application)
    return application

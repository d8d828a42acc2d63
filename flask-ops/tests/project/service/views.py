"""One route."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.settings import Settings

views = Blueprint("views", __name__)


@views.get("/")
def index() -> Response:
    """Return the name and the version."""
    settings = Settings.current()
    return jsonify(name=settings.name, version=settings.version)

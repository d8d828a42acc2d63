"""The routes of this service. Replace them with yours."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

views = Blueprint("views", __name__)


@views.get("/")
def index() -> Response:
    """Tell who answers, in which version."""
    settings = current_app.config["SETTINGS"]
    return jsonify(name=settings.name, version=settings.version)

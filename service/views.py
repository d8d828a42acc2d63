"""The routes of this service. Replace them with yours."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

views = Blueprint("views", __name__)


@views.get("/")
def index() -> Response:
    """Tell who answers, in which version."""
    return jsonify(name=current_app.config["SERVICE_NAME"], version=current_app.config["SERVICE_VERSION"])

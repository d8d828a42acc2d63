from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

views = Blueprint("views", __name__)


@views.get("/")
def index() -> Response:
    settings = current_app.config["SETTINGS"]
    return jsonify(name=settings.name, version=settings.version)

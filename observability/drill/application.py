"""The service of the drill. It has no checks, so only the injected faults have an effect."""

from __future__ import annotations

from flask import Flask
from flask_ops import Ops


def create_app() -> Flask:
    """Build the application for Gunicorn, with one view."""
    app = Flask("service", static_folder=None)
    app.add_url_rule("/", "index", lambda: "well")
    Ops(app, probes=True, metrics=True, problems=True, json=True, limits=True, modes=True)
    return app

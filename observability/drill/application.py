"""The service that is broken: without checks of its own, so that only faults make the difference."""

from __future__ import annotations

from flask import Flask
from flask_ops import Ops


def create_app() -> Flask:
    """Build it as Gunicorn does, with one view."""
    app = Flask("service", static_folder=None)
    app.add_url_rule("/", "index", lambda: "well")
    Ops(app, probes=True, metrics=True, problems=True, json=True, limits=True, modes=True)
    return app

"""A service with all features, like the template, and with the same views as all subjects."""

from __future__ import annotations

from flask import Flask
from flask_ops import Check, Ops

from benchmark.subjects.views import add_load, index


def create_app() -> Flask:
    """Build the application for Gunicorn, with a check that always passes."""
    app = Flask("service", static_folder=None)
    app.add_url_rule("/", "index", index)
    add_load(app)
    checks = [Check("always", lambda: None)]
    Ops(app, checks=checks, probes=True, metrics=True, problems=True, json=True, limits=True, modes=True)
    return app

"""The service of the drill. Its only check and its faults are in ``broken``."""

from __future__ import annotations

from flask import Flask
from flask_ops import Check, Ops

from observability.drill import broken


def create_app() -> Flask:
    """Build the application for Gunicorn, with one view that works."""
    app = Flask("service", static_folder=None)
    app.add_url_rule("/", "index", lambda: "well")
    app.register_blueprint(broken.faults)
    checks = [Check("fault", broken.dependency, interval=0.5)]
    Ops(app, checks=checks, probes=True, metrics=True, problems=True, json=True, limits=True, modes=True)
    return app

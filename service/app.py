"""The application factory. It wires the parts together and does nothing else."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from flask_ops import Ops

from service.checks import CHECKS
from service.settings import Settings
from service.views import views


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application. Without ``settings`` they are read from the environment.

    Raises SystemExit with code 78, after one line in the log, for invalid settings.
    """
    # Without the folder, Flask would still have a route for it, and metrics of a route that serves nothing.
    static = "static" if (Path(__file__).parent / "static").is_dir() else None
    app = Flask("service", static_folder=static)
    app.register_blueprint(views)
    Ops(
        app,
        settings or Settings,
        checks=CHECKS,
        probes=True,  # /healthz and /readyz
        metrics=True,  # /metrics
        problems=True,  # errors as application/problem+json
        json=True,  # orjson for jsonify()
        limits=True,  # SERVICE_MAX_BODY_BYTES
        modes=True,  # SERVICE_ENV sets app.debug and app.testing
    )
    return app

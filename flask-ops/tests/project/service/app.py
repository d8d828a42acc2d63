"""The application factory. It wires the parts together and does nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flask import Blueprint, Flask

from flask_ops import Check, Ops
from service.checks import CHECKS
from service.settings import Settings
from service.views import views


def create_app(
    settings: Settings | None = None, *, views: Blueprint = views, checks: Iterable[Check] = CHECKS
) -> Flask:
    """Build the application. Read the settings from the environment if ``settings`` is None.

    Raises SystemExit with code 78 if settings are invalid. One line in the log names them.
    """
    # Flask adds a route for the static folder even if the folder does not exist. The route would appear in the metrics.
    static = "static" if (Path(__file__).parent / "static").is_dir() else None
    app = Flask("service", static_folder=static)
    app.register_blueprint(views)
    Ops(
        app,
        settings or Settings,
        checks=checks,
        probes=True,  # /healthz and /readyz
        metrics=True,  # /metrics
        problems=True,  # errors as application/problem+json
        json=True,  # orjson for jsonify()
        limits=True,  # SERVICE_MAX_BODY_BYTES
        modes=True,  # SERVICE_ENV sets app.debug and app.testing
    )
    return app

"""The application factory. It wires the parts together and does nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix

from service import probes, problems, scrape
from service.checks import CHECKS
from service.framework import Service
from service.health import Check, Health
from service.logs import RequestLog
from service.metrics import RequestMetrics
from service.observer import Observer
from service.settings import Mode, Settings
from service.startup import start
from service.views import views


def create_app(settings: Settings | None = None, *, checks: Iterable[Check] = CHECKS) -> Flask:
    """Build the application. Without ``settings`` the environment is read, as servers need it.

    Raises SystemExit, after one line in the log, where a variable cannot be used.
    """
    settings = settings or start()
    app = Service("service")
    app.debug = settings.debug
    app.testing = settings.mode is Mode.TESTING
    app.secret_key = settings.secret_key
    app.config.update(
        SERVICE_NAME=settings.name,
        SERVICE_VERSION=settings.version,
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
    )
    registry = CollectorRegistry()
    app.register_blueprint(probes.blueprint(Health(checks)))
    app.register_blueprint(scrape.blueprint(registry))
    app.register_blueprint(views)
    problems.init_app(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign] # Flask's documented way
    # Outermost: what it does not see has not happened.
    app.wsgi_app = Observer(  # type: ignore[method-assign] # Flask's documented way
        app.wsgi_app,
        RequestMetrics(registry),
        RequestLog(settings),
        quiet_routes={probes.LIVENESS, probes.READINESS, scrape.PATH},
        reraise=app.debug or app.testing,
    )
    return app

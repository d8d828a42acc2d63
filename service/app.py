"""The application factory. It wires the parts together and does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

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
from service.under_uwsgi import believe_no_client, in_each_worker
from service.views import views

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(settings: Settings | None = None, *, checks: Iterable[Check] = CHECKS) -> Flask:
    """Build the application. Without ``settings`` the environment is read, as servers need it.

    Raises SystemExit, after one line in the log, where a variable cannot be used.
    """
    if settings is None:
        settings = start()
        if "waitress" in sys.modules:
            from service.waitress_server import serve_gracefully_under_waitress_serve  # noqa: PLC0415 - Waitress only

            serve_gracefully_under_waitress_serve(settings)
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
    health = Health(checks)
    in_each_worker(health.start)
    app.register_blueprint(probes.blueprint(health))
    app.register_blueprint(scrape.blueprint(registry))
    app.register_blueprint(views)
    problems.init_app(app)
    wsgi_app: WSGIApplication = app.wsgi_app
    hops = settings.trusted_proxies
    if hops:
        wsgi_app = ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    app.wsgi_app = Observer(  # type: ignore[method-assign] # as Flask documents it
        believe_no_client(wsgi_app),  # before ProxyFix, which believes the proxies
        RequestMetrics(registry),
        RequestLog(settings),
        quiet_routes={probes.LIVENESS, probes.READINESS, scrape.PATH},
        reraise=app.debug or app.testing,
    )
    return app

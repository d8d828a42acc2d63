"""The application factory. It wires the parts together and does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Flask
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix

from service import faults
from service.checks import CHECKS
from service.health import Check, within
from service.health.engine import Health
from service.health.metrics import HealthMetrics, status_elsewhere
from service.logs import RequestLog, levels
from service.metrics import RequestMetrics
from service.monitoring import Monitoring
from service.settings import Mode, Settings
from service.startup import open_store, start
from service.telemetry import following, scrape, store, store_files
from service.telemetry.pulse import Pulse
from service.telemetry.saturation import Saturation
from service.telemetry.sources import sources
from service.under_uwsgi import (
    correct_environ,
    hear_stop_missed_while_starting,
    in_each_worker,
    log_under_uwsgi,
    serve_management_under_uwsgi,
)
from service.views import views
from service.web import probes, problems
from service.web.framework import Service
from service.web.observer import Observer

_log = structlog.stdlib.get_logger(__name__)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_app(
    settings: Settings | None = None, *, views: Blueprint = views, checks: Iterable[Check] = CHECKS
) -> Flask:
    """Build the application. Without ``settings`` the environment is read, as servers need it.

    Raises SystemExit, after one line in the log, where a variable cannot be used.
    """
    settings = settings or start()
    open_store(if_chosen=True)  # where the server has not done so, as under flask's own command
    # Without the folder, Flask would still have a route for it, and metrics of a route that serves nothing.
    if "gunicorn.arbiter" in sys.modules and not store.is_shared():
        _log.warning(
            "each worker shows its own metrics only", instead="gunicorn with the gunicorn.conf.py of this service"
        )
    app = Service("service", static_folder="static" if (Path(__file__).parent / "static").is_dir() else None)
    app.debug = settings.debug
    app.testing = settings.mode is Mode.TESTING
    app.secret_key = settings.secret_key
    app.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
    )
    registry = CollectorRegistry()
    health = Health(within(app.app_context, [*checks, *faults.checks(settings)]), status_elsewhere)
    health_metrics = HealthMetrics(health, registry)
    app.register_blueprint(probes.blueprint(health_metrics.readiness))
    app.register_blueprint(views)
    faults.init_app(app, settings)
    problems.init_app(app)
    wsgi_app: WSGIApplication = app.wsgi_app
    hops = settings.trusted_proxies
    if hops:
        wsgi_app = ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=settings.trusted_host_proxies)
    metrics = RequestMetrics(registry)
    observer = Observer(
        correct_environ(wsgi_app),  # before ProxyFix, which believes the proxies
        metrics,
        RequestLog(settings),
        quiet_routes={probes.LIVENESS, probes.READINESS, scrape.PATH},
        reraise=app.debug or app.testing,
        trust_request_start=hops > 0,
    )
    app.wsgi_app = observer  # type: ignore[method-assign] # as Flask documents it
    saturation = Saturation(settings, observer, registry)
    pulse = Pulse(
        [
            partial(metrics.expect, app.url_map),
            saturation.publish,
            health_metrics.publish,
            *following.counters(registry),
            levels.refresh,
            *([store_files.reopen_lost] if store.is_shared() else []),
        ]
    )
    monitoring = Monitoring(
        health_metrics.readiness, saturation.abort, observer.cut_off, [pulse, *sources(settings), registry]
    )
    monitoring.attach(app)
    if settings.metrics_on_app:
        app.register_blueprint(probes.scrape_blueprint(monitoring.sources))
    log_under_uwsgi(settings)
    in_each_worker(health.start)
    in_each_worker(pulse.start)
    serve_management_under_uwsgi(settings, monitoring)
    hear_stop_missed_while_starting()
    if "waitress" in sys.modules:
        from service.under_waitress.server import serve_gracefully_under_waitress_serve  # noqa: PLC0415 - Waitress only

        serve_gracefully_under_waitress_serve(app, settings)
    return app

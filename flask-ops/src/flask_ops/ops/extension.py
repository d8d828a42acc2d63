"""``Ops``, the extension that attaches a Flask application to the monitoring of its process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
from flask import Flask

from flask_ops.core import greenlets, multiprocess
from flask_ops.core.settings import Settings
from flask_ops.health import Check, Checks, within
from flask_ops.health.engine import Health
from flask_ops.health.metrics import status_elsewhere
from flask_ops.ops.runtime import Runtime, obtain
from flask_ops.ops.startup import open_store, start
from flask_ops.web import limits, probes, problems
from flask_ops.web.flask_events import EXCHANGE
from flask_ops.web.json_provider import JSONProvider

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.stdlib.get_logger(__name__)


class Attached(NamedTuple):
    """The value of ``app.extensions["flask_ops"]``."""

    settings: Settings
    health: Health
    runtime: Runtime


class Ops:
    """Health checks, metrics and log lines for a Flask application.

    Call ``Ops(app)``, or ``ops = Ops()`` and later ``ops.init_app(app)``. By default, the only change to your responses
    is the header ``X-Request-ID``.

    ``settings`` is ``flask_ops.Settings`` or your subclass of it. ``Ops`` reads the settings from the environment and
    sets up the log. In tests, pass an instance instead of a class: ``Ops`` then uses its values and leaves the
    environment and the log alone.

    ``checks`` are the readiness checks.

    The options are off by default. Each one turns on one feature:

    - ``probes`` serves ``/healthz`` and ``/readyz`` on the application's port.
    - ``metrics`` serves ``/metrics`` on the application's port, unless ``SERVICE_METRICS_ON_APP`` is false.
    - ``problems`` sends every error as ``application/problem+json`` (RFC 9457).
    - ``json`` uses orjson for ``jsonify()`` and for views that return a dict or a list.
    - ``limits`` rejects request bodies over ``SERVICE_MAX_BODY_BYTES`` with 413, also chunked ones.
      uWSGI cannot read chunked bodies: they get 411.
    - ``modes`` sets ``app.debug`` and ``app.testing`` from ``SERVICE_ENV``.

    If ``SERVICE_SECRET_KEY`` is set, it becomes the secret key of the application.

    Raises RuntimeError if the application is attached already, and ValueError if two checks have the same name. Raises
    SystemExit, after one line in the log, with one of these codes:

    - 78: a setting is invalid, or ``flask run`` is used outside development.
    - 73: the metrics store in ``PROMETHEUS_MULTIPROC_DIR`` cannot be written, or another user can change it.
    """

    def __init__(
        self,
        app: Flask | None = None,
        settings: Settings | type[Settings] = Settings,
        *,
        checks: Iterable[Check] = (),
        probes: bool = False,
        metrics: bool = False,
        problems: bool = False,
        json: bool = False,
        limits: bool = False,
        modes: bool = False,
    ) -> None:
        self._settings = settings
        # A Checks object may get more checks until init_app(). An iterator would be empty for a second application.
        self._checks = checks if isinstance(checks, Checks) else [*checks]
        self._probes, self._metrics, self._problems = probes, metrics, problems
        self._json, self._limits, self._modes = json, limits, modes
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Attach ``app``. The docstring of the class lists the errors."""
        if "flask_ops" in app.extensions:
            raise RuntimeError(
                f"The application {app.name!r} is attached already: call Ops(app) or init_app(app) once."
            )
        if isinstance(self._settings, type):
            settings = start(self._settings)
            open_store(if_chosen=True)  # for servers that have not done so, such as `flask run`
        else:
            settings = self._settings
        runtime = obtain(settings)
        health = Health(
            within(app.app_context, self._checks),
            lambda check: status_elsewhere(check, health.application),
        )
        app.extensions["flask_ops"] = Attached(settings, health, runtime)
        runtime.add_health(health)
        runtime.expect_routes(app)
        if settings.secret_key is not None:
            app.secret_key = settings.secret_key
        if self._modes:
            app.debug, app.testing = settings.debug, settings.testing
        if self._json:
            app.json = JSONProvider(app)
        if self._limits:
            limits.init_app(app, settings.max_body_bytes)
        if self._problems:
            problems.init_app(app)
        if self._probes:
            app.register_blueprint(probes.blueprint(partial(runtime.readiness, health=health)))
            runtime.admission.probes |= {probes.LIVENESS, probes.READINESS}
        if self._metrics and settings.metrics_on_app:
            app.register_blueprint(probes.scrape_blueprint(runtime.collect))
            runtime.admission.probes.add(probes.METRICS)
        # Otherwise an exception goes on to the debugger or to the test.
        answers_errors = (lambda: not (app.debug or app.testing)) if self._problems else None
        app.wsgi_app = _Entrance(app.wsgi_app, runtime, answers_errors)  # type: ignore[method-assign] # as Flask documents it


class _Entrance:
    """The middleware at ``app.wsgi_app``. It observes a request unless the server has done so."""

    def __init__(self, app: WSGIApplication, runtime: Runtime, answers_errors: Callable[[], bool] | None) -> None:
        self._app, self._runtime, self._answers_errors = app, runtime, answers_errors
        self._observed = runtime.observe(self)
        self._is_known = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchange = environ.get(EXCHANGE)
        if exchange is None:
            self._runtime.start()
            if not self._is_known:
                self._is_known = True
                self._meet_server(environ)
            return self._observed(environ, start_response)
        if self._answers_errors is not None:
            exchange.answers_errors = self._answers_errors
        return self._app(environ, start_response)

    def _meet_server(self, environ: WSGIEnvironment) -> None:
        """Note the name of a server without our integration. Warn if it has several workers, or greenlets."""
        if reason := greenlets.reason():
            _log.warning(
                "greenlets serve the requests",
                reason=reason,
                hint="a server with threads, because a request that computes stops all others",
            )
        software = environ.get("SERVER_SOFTWARE", "").partition("/")[0].lower()
        self._runtime.server = "uwsgi" if "uwsgi.version" in environ else software or self._runtime.server
        if not environ["wsgi.multiprocess"]:
            return
        shared = "counts are lost if all workers end at once"
        event = shared if multiprocess.is_shared() else "each worker shows its own metrics only"
        _log.warning(event, hint="gunicorn -c python:flask_ops.gunicorn")

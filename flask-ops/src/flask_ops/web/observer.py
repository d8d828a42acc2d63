"""The outermost layer: each request becomes exactly one observation, and one log line unless it is left out.

It is outside Flask, because only there every end of a request is visible. Examples are unhandled exceptions, failures
in mid-stream, disconnected clients, headers that the server refuses, and ``sys.exit()`` in a view. In each case
the WSGI server calls ``close()`` on the response (PEP 3333), which ends the request.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Collection, Iterable
from time import perf_counter, time
from typing import TYPE_CHECKING

import structlog

from flask_ops.log.request_log import RequestLog
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web import queue_time
from flask_ops.web.admission import Admission
from flask_ops.web.exchange import Exchange, Outcome
from flask_ops.web.flask_events import EXCHANGE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.stdlib.get_logger(__name__)

MAX_TEXT = 1000
"""Maximum characters of a path or user agent in the log. Clients must not make lines too long for a pipe."""
MAX_NAME = 100
"""Maximum characters of a method or a client's address. A client can send any ``X-Forwarded-For``."""


class Observer:
    """Reports each request to ``metrics`` and ``log`` when it is over. ``admission`` decides which ones are refused.

    For the probes of ``admission``, a success is logged at debug, and a 503 at info.
    """

    def __init__(self, metrics: RequestMetrics, log: RequestLog, admission: Admission) -> None:
        self._metrics = metrics
        self._log = log
        self._admission = admission
        self._trusts_request_start = admission.trusts_request_start
        self._running: dict[int, Exchange] = {}
        self.ending = threading.RLock()  # a signal handler may interrupt its thread in the middle of a report
        """Held by the thread that decides to record an exchange: the serving thread, or a thread that aborts it."""
        self._is_blind = False

    def observe(self, app: WSGIApplication) -> WSGIApplication:
        """Wrap ``app`` so that each request is observed, unless an outer observer already does."""

        def observed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if EXCHANGE in environ:
                return app(environ, start_response)
            exchange = self.begin(environ)
            respond = exchange.refuse if exchange.is_refused else exchange.respond
            # In a separate context, so that nothing leaks into the next request.
            return exchange.context.run(respond, app, start_response)

        return observed

    def begin(self, environ: WSGIEnvironment) -> Exchange:
        """Return the exchange of a request that has just arrived. It is in flight until it is recorded."""
        exchange = Exchange(environ, self.ending, self.record)
        self._running[id(exchange)] = exchange
        queued = queue_time.of_request(environ)
        exchange.queued = queued
        if self._trusts_request_start and "HTTP_X_REQUEST_START" in environ:
            by_proxy = queue_time.of_header(environ["HTTP_X_REQUEST_START"], time())
            if by_proxy is not None and (queued is None or by_proxy > queued):
                exchange.queued = by_proxy
                # If the socket can tell, it alone decides: a proxy with a wrong clock must not cause refusals.
                queued = by_proxy if queued is None else queued
        if queued is not None:
            exchange.is_refused = self._admission.refuses(environ["PATH_INFO"], queued)
        return exchange

    def running(self) -> list[Exchange]:
        """Return the requests in flight."""
        return list(self._running.values())

    def abort(self, exchanges: Collection[Exchange]) -> bool:
        """Report all ``exchanges`` as aborted and return True. If one has ended, report none and return False."""
        with self.ending:
            if any(exchange.is_reported for exchange in exchanges):
                return False
            for exchange in exchanges:
                exchange.is_reported = True
        for exchange in exchanges:
            exchange.abort()
        return True

    def cut_off(self) -> None:
        """Report all requests in flight as aborted, because the process ends now."""
        with self.ending:  # none of them ends meanwhile
            self.abort([exchange for exchange in self.running() if not exchange.is_reported])

    def record(self, exchange: Exchange) -> None:
        """Turn one finished request into its observation and its line. No other code does."""
        seconds = perf_counter() - exchange.arrived
        self._running.pop(id(exchange), None)
        environ, status, outcome = exchange.environ, exchange.status, exchange.outcome
        method, route = environ["REQUEST_METHOD"], exchange.route
        has_line = True
        try:
            if outcome is Outcome.SHED:
                has_line = self._admission.refused(environ["PATH_INFO"], exchange.queued or 0.0)
            else:
                self._metrics.observe(
                    method, route, status, seconds, exception=outcome is Outcome.EXCEPTION, queued=exchange.queued
                )
        except (OSError, TypeError):
            # The store has no room for a new series, or prometheus_client cannot reopen its closed files for now.
            # The request still gets its line.
            if not self._is_blind:
                _log.exception("failed to record request metrics")
            self._is_blind = True
        else:
            self._is_blind = False
        if has_line:
            self._write(exchange, seconds)

    def _write(self, exchange: Exchange, seconds: float) -> None:
        environ, status, outcome = exchange.environ, exchange.status, exchange.outcome
        method, route = environ["REQUEST_METHOD"], exchange.route
        queued, quiet = exchange.queued or 0.0, route in self._admission.probes
        if status == 503 and quiet and not outcome:
            # The answer of a probe, not an error. Its cause (a drain, a check) has a separate line.
            level, number = "info", logging.INFO
        elif outcome in (Outcome.SHED, Outcome.CLIENT_DISCONNECTED):
            level, number = "warning", logging.WARNING
        elif status >= 500:
            level, number = "error", logging.ERROR
        elif quiet and status < 400:
            level, number = "debug", logging.DEBUG
        else:
            level, number = "info", logging.INFO
        share = 1.0 if status >= 400 or outcome else self._log.share(route, seconds + queued)
        if not self._log.is_enabled(number) or (share < 1 and random.random() >= share):  # noqa: S311 - no secret
            return
        fields = {
            "method": _text(method, MAX_NAME),
            "path": _text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "bytes": exchange.size,
            "client": _text(environ.get("REMOTE_ADDR", ""), MAX_NAME),
            "user_agent": _text(environ.get("HTTP_USER_AGENT", "")),
        }
        if queued >= 0.001:
            fields["queue_ms"] = round(queued * 1000, 3)
        if self._log.has_query and environ.get("QUERY_STRING"):
            fields["query"] = self._log.masked(_text(environ["QUERY_STRING"]))
        if share < 1:
            fields["share"] = share  # lets a reader compute the number of requests
        if outcome:
            fields["outcome"] = outcome.value
            if status != exchange.status_sent:
                fields["status_sent"] = exchange.status_sent
        if exchange.timed_out:
            fields["timed_out"] = True
        self._log.write(level, fields)


def _text(latin1: str, limit: int = MAX_TEXT) -> str:
    """Decode a WSGI string, whose bytes are represented as latin-1 (PEP 3333), as UTF-8."""
    if len(latin1) > limit:
        latin1 = latin1[:limit] + "..."
    return latin1 if latin1.isascii() else latin1.encode("latin-1").decode("utf-8", "backslashreplace")

"""The outermost layer: each request becomes exactly one log line and one observation.

It stands outside Flask because only there every end of a request is seen: unhandled exceptions,
failures in the middle of a stream, clients that went away, headers that the server refuses,
``sys.exit()`` in a view. A WSGI server calls ``close()`` on the response in each of these cases
(PEP 3333), and that is the moment when a request is over.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import structlog

from flask_ops.log import RequestLog
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web.exchange import Exchange
from flask_ops.web.request_start import waited
from flask_ops.web.signals import EXCHANGE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.stdlib.get_logger(__name__)

MAX_TEXT = 1000
"""Characters of a path or a user agent in the log: a client must not make lines that a pipe tears apart."""


class Observer:
    """Reports each request to ``metrics`` and ``log`` when it is over.

    A success on one of ``quiet_routes`` is logged at debug, a 503 at info. With ``trust_request_start`` the time in
    ``X-Request-Start`` counts, which any client could send.
    """

    def __init__(self, metrics: RequestMetrics, log: RequestLog, *, trust_request_start: bool = False) -> None:
        self.quiet_routes: set[str] = set()
        self._metrics = metrics
        self._log = log
        self._trust_request_start = trust_request_start
        self._running: dict[int, Exchange] = {}
        self.ending = threading.RLock()  # a signal handler, too, reports what its thread may be just reporting
        """Held by the thread that decides to record an exchange: its own one, or one that aborts it."""
        self._is_blind = False

    def observe(self, app: WSGIApplication) -> WSGIApplication:
        """Return ``app`` with each request observed, unless something further out has observed it already."""

        def observed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if EXCHANGE in environ:
                return app(environ, start_response)
            if self._trust_request_start and "HTTP_X_REQUEST_START" in environ:
                seconds = waited(environ["HTTP_X_REQUEST_START"], time.time())
                if seconds is not None:
                    self._metrics.waited(seconds)
            exchange = Exchange(app, environ, start_response, ending=self.ending, record=self.record)
            self._running[id(exchange)] = exchange
            # In a context of its own, so that nothing leaks into the next request.
            return exchange.context.run(exchange.respond)

        return observed

    def running(self) -> list[Exchange]:
        """Return the requests that are being served."""
        return list(self._running.values())

    def abort(self, exchanges: Collection[Exchange]) -> bool:
        """Report all of these as aborted and return True; or none of them, where one has ended meanwhile."""
        with self.ending:
            if any(exchange.is_reported for exchange in exchanges):
                return False
            for exchange in exchanges:
                exchange.is_reported = True
        for exchange in exchanges:
            exchange.abort()
        return True

    def cut_off(self) -> None:
        """Report as aborted whatever is still being served: the process ends now."""
        with self.ending:
            running = [exchange for exchange in self.running() if not exchange.is_reported]
            for exchange in running:
                exchange.is_reported = True
        for exchange in running:
            exchange.abort()

    def record(self, exchange: Exchange, seconds: float) -> None:
        """Turn one finished request into its observation and its line. Nothing else does."""
        self._running.pop(id(exchange), None)
        environ, status, outcome = exchange.environ, exchange.status, exchange.outcome
        method, route = environ["REQUEST_METHOD"], exchange.route
        try:
            self._metrics.observe(method, route, status, seconds, exception=outcome == "exception")
        except (OSError, TypeError):
            # A new series, and no room for it in the store; or prometheus_client's files are closed, and cannot be
            # opened again for now. The line is all there is.
            if not self._is_blind:
                _log.exception("failed to record request metrics")
            self._is_blind = True
        else:
            self._is_blind = False
        self._write(exchange, seconds)

    def _write(self, exchange: Exchange, seconds: float) -> None:
        environ, status, outcome = exchange.environ, exchange.status, exchange.outcome
        method, route = environ["REQUEST_METHOD"], exchange.route
        quiet = route in self.quiet_routes
        if status == 503 and quiet and not outcome:
            # The answer of a probe, as right as a 200; what made it so (a drain, a check) has a line of its own.
            level, number = "info", logging.INFO
        elif status >= 500:
            level, number = "error", logging.ERROR
        elif outcome == "client_disconnected":
            level, number = "warning", logging.WARNING
        elif quiet and status < 400:
            level, number = "debug", logging.DEBUG
        else:
            level, number = "info", logging.INFO
        share = 1.0 if status >= 400 or outcome else self._log.share(route, seconds)
        if not self._log.is_enabled(number) or (share < 1 and random.random() >= share):  # noqa: S311 - no secret
            return
        fields = {
            "method": method,
            "path": _text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "bytes": exchange.size,
            "client": environ.get("REMOTE_ADDR", ""),
            "user_agent": _text(environ.get("HTTP_USER_AGENT", "")),
        }
        if self._log.has_query and environ.get("QUERY_STRING"):
            fields["query"] = self._log.masked(_text(environ["QUERY_STRING"]))
        if share < 1:
            fields["share"] = share  # so that a count of lines can be made one of requests
        if outcome:
            fields["outcome"] = outcome
            if status != exchange.status_sent:
                fields["status_sent"] = exchange.status_sent
        if exchange.timed_out:
            fields["timed_out"] = True
        self._log.write(level, fields)


def _text(latin1: str) -> str:
    """Read the bytes of a WSGI string, which come as latin-1 (PEP 3333), as UTF-8."""
    if len(latin1) > MAX_TEXT:
        latin1 = latin1[:MAX_TEXT] + "..."
    return latin1 if latin1.isascii() else latin1.encode("latin-1").decode("utf-8", "backslashreplace")

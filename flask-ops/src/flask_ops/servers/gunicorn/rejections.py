"""The log lines and counts of requests that Gunicorn refuses.

The application never sees these requests. Without this module, no metric would show them.
"""

from __future__ import annotations

from ssl import SSLError

import structlog
from gunicorn.http import errors
from prometheus_client import Counter

_KINDS: tuple[tuple[tuple[type[Exception], ...], str, int], ...] = (
    ((errors.InvalidRequestLine, errors.InvalidH2CPreface), "request_line", 400),
    ((errors.InvalidRequestMethod,), "method", 400),
    ((errors.InvalidHTTPVersion,), "version", 400),
    ((errors.InvalidHeader, errors.InvalidHeaderName, errors.ObsoleteFolding), "header", 400),
    ((errors.InvalidSchemeHeaders,), "scheme_headers", 400),
    ((errors.LimitRequestLine,), "uri_too_long", 414),
    ((errors.LimitRequestHeaders,), "headers_too_large", 431),
    ((errors.UnsupportedTransferCoding,), "transfer_coding", 501),
    ((errors.InvalidChunkSize, errors.ChunkMissingTerminator, errors.InvalidChunkExtension), "chunk", 400),
    ((errors.ExpectationFailed,), "expectation", 417),
    ((errors.InvalidProxyLine, errors.InvalidProxyHeader), "proxy_protocol", 400),
    ((errors.ForbiddenProxyRequest,), "proxy_protocol", 403),
    ((SSLError,), "tls", 403),
)
"""Exceptions, reason and status, as in ``gunicorn.workers.base.Worker.handle_error``."""
_OTHER = ("other", 400)
WORKER_STUCK = "worker_stuck"
"""The reason for a connection that waited in a stuck worker. No thread has read its request."""
REASONS = tuple(dict.fromkeys([*(reason for _, reason, _ in _KINDS), WORKER_STUCK, _OTHER[0]]))

_counters: list[Counter] = []
_log = structlog.stdlib.get_logger(__name__)


def start() -> None:
    """Start to count each reason from 0. Call this in a worker that has its slot in the metrics store."""
    counter = Counter(
        "service_requests_rejected", "Requests that the server refused by itself.", ["reason"], registry=None
    )
    for reason in REASONS:
        counter.labels(reason)
    _counters[:] = [counter]


def report(error: BaseException, client: str) -> None:
    """Log and count the request that ``error`` ended, without its message, which quotes the client."""
    refused(*_kind(error), client)


def refused(reason: str, status: int, client: str) -> None:
    """Log and count a request that was refused with ``status``. ``reason`` is in REASONS."""
    for counter in _counters:
        counter.labels(reason).inc()
    _log.warning("request rejected", reason=reason, status=status, client=client)


def _kind(error: BaseException) -> tuple[str, int]:
    for kinds, reason, status in _KINDS:
        if isinstance(error, kinds):
            return reason, status
    return _OTHER

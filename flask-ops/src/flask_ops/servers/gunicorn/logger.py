"""The logger for Gunicorn's own lines, and the counts of requests that Gunicorn refuses.

Without it, the lines would have another format and could contain secrets. No metric would show the refused requests,
because the application never sees them.
"""

from __future__ import annotations

import ast
import logging
import re
import sys
from ssl import SSLError
from typing import Any

import structlog
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import errors
from prometheus_client import Counter

from flask_ops.core.address import Address
from flask_ops.core.port_holders import holders
from flask_ops.log import levels
from flask_ops.log.masking import MASKED
from flask_ops.metrics import slo

_REJECTED = "Invalid request from ip="
_IN_USE = "Connection in use: %s"
_CONFIGURATION = "Current configuration:"
_DISCONNECTED = "Ignored premature client disconnection."

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
    ((errors.ConfigurationProblem,), "script_name", 500),  # the path does not begin with SCRIPT_NAME
)
"""Exceptions, reason and status, as in ``gunicorn.workers.base.Worker.handle_error``."""
_OTHER = ("other", 400)
REASONS = tuple(dict.fromkeys([*(reason for _, reason, _ in _KINDS), slo.WORKER_STUCK, _OTHER[0]]))

_counters: list[Counter] = []
_log = structlog.stdlib.get_logger(__name__)


class GunicornLogger(Logger):
    """Passes Gunicorn's lines to the root logger, without quotes from requests.

    A header or a query string may contain a secret. The observer logs the requests.
    """

    def setup(self, cfg: Config) -> None:
        """Set the level, which ``--log-level`` may have changed. Add no handler."""
        self.cfg = cfg
        level = logging.getLevelNamesMapping().get(cfg.loglevel.upper(), logging.INFO)
        # The root's level can change at run time. Gunicorn's level follows unless the command line sets another one.
        root = levels.configured(logging.getLogger())
        levels.configure(self.error_log, logging.NOTSET if level == root else level)
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing: ``flask_ops.web.observer`` logs each request, exactly once."""

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a warning. If Gunicorn refused a request, log fields instead of its text."""
        error = sys.exception()
        if error is not None and isinstance(msg, str) and msg.startswith(_REJECTED):
            report(error, client=msg.removeprefix(_REJECTED).partition(": ")[0])
        else:
            super().warning(msg, *args, **kwargs)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log an error. If an address is in use, name the processes that hold it."""
        if msg == _IN_USE and (held := _holders(str(args[0]))):
            msg, args = f"{_IN_USE} by %s", (*args, held)
        super().error(msg, *args, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log an exception without the query string of the request."""
        if str(msg).startswith("Error handling request %s"):
            args = tuple(str(arg).partition("?")[0] for arg in args)
        super().exception(msg, *args, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a debug message, without data from a disconnected client and without the values of ``--env``."""
        if str(msg).startswith(_DISCONNECTED):
            msg, args = _DISCONNECTED, ()
        elif str(msg).startswith(_CONFIGURATION):
            msg = re.sub(r"(?m)^(  raw_env: ).*$", rf"\1{MASKED}", str(msg))
        super().debug(msg, *args, **kwargs)


def start() -> None:
    """Start to count each reason from 0. Call this in a worker that has its slot in the metrics store."""
    counter = Counter(slo.REJECTED, "Requests that the server refused by itself.", ["reason"], registry=None)
    for reason in REASONS:
        counter.labels(reason)
    _counters[:] = [counter]


def report(error: BaseException, client: str) -> None:
    """Log and count the request that ``error`` ended, without its message, which quotes the client."""
    reason, status = next(((reason, status) for kinds, reason, status in _KINDS if isinstance(error, kinds)), _OTHER)
    refused(reason, status, client)


def refused(reason: str, status: int, client: str) -> None:
    """Log and count a request that was refused with ``status``. ``reason`` is in REASONS."""
    for counter in _counters:
        counter.labels(reason).inc()
    _log.warning("request rejected", reason=reason, status=status, client=client)


def _holders(address: str) -> str:
    try:
        host, port, *_ = ast.literal_eval(address)
    except (SyntaxError, ValueError):  # the path of a Unix socket
        return holders(Address(unix=address))
    return holders(Address(host or "0.0.0.0", port))  # noqa: S104 - what an empty host means

"""The request that this thread serves, whose ids go into every line, and the exceptions that end its process."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(slots=True)
class RequestContext:
    """The ids of one request, and its route once Flask has found it."""

    request_id: str
    trace_id: str = ""
    span_id: str = ""
    trace_flags: str = ""
    environ: dict[str, Any] = field(default_factory=dict, repr=False)
    route: str = ""

    @classmethod
    def from_environ(cls, environ: dict[str, Any]) -> RequestContext:
        """Take the client's ids if they are well formed. Make a request id otherwise."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or _REQUEST_ID.fullmatch(request_id) is None:
            request_id = new_request_id()
        context = cls(request_id, environ=environ)
        traceparent = environ.get("HTTP_TRACEPARENT")
        if traceparent is not None:
            context.trace_id, context.span_id, context.trace_flags = parse_traceparent(traceparent) or ("", "", "")
        return context

    def add_to(self, line: dict[str, Any]) -> None:
        """Add the ids and the route, if known, to a log line. Keep fields that the line already has."""
        line.setdefault("request_id", self.request_id)
        if self.trace_id:
            line.setdefault("trace_id", self.trace_id)
            line.setdefault("span_id", self.span_id)
            line.setdefault("trace_flags", self.trace_flags)
        if self.route:
            line.setdefault("route", self.route)


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
"""The request that is being served; None outside a request, and in a thread that the request started."""
request_finders: list[Callable[[], RequestContext | None]] = []
"""Find the request that such a thread works for. ``flask_ops.web.flask_events`` adds the one for Flask."""
process_is_leaving = threading.Event()
"""Set by Gunicorn's hooks, in a signal handler."""


def find_request() -> RequestContext | None:
    """Return the request that this thread serves, or works for; None outside a request."""
    return current_request.get() or next(filter(None, (find() for find in request_finders)), None)


def new_request_id() -> str:
    """Return a UUIDv7: unique, and sortable by creation time (RFC 9562, section 5.7).

    The random bits are not secure, because an id is no secret. Each process has its own sequence: Python seeds
    ``random`` again after a fork.
    """
    time_of_it = (time.time_ns() // 1_000_000).to_bytes(6, "big").hex()
    bits = random.getrandbits(80)
    digits = bits.to_bytes(10, "big").hex()
    return f"{time_of_it[:8]}-{time_of_it[8:]}-7{digits[:3]}-{'89ab'[bits & 3]}{digits[3:6]}-{digits[6:18]}"


def outgoing_headers() -> dict[str, str]:
    """Return the headers for a call to another service, so that its log lines share this request's ids.

    ``X-Request-ID`` is always there. ``traceparent`` and ``tracestate`` are as the client sent them: this service
    makes no spans, so it passes them on unchanged (W3C Trace Context, section 4.3) and adds none. Empty outside a
    request.
    """
    request = find_request()
    if request is None:
        return {}
    headers = {"X-Request-ID": request.request_id}
    if request.trace_id:
        for name in ("traceparent", "tracestate"):
            value = request.environ.get(f"HTTP_{name.upper()}")
            if value is not None:
                headers[name] = value
    return headers


def parse_traceparent(header: str) -> tuple[str, str, str] | None:
    """Return the trace id, the parent's span id and the flags, in lower-case hex; None if malformed.

    Source: W3C Trace Context, section 3.2. Future versions may have more fields, version 00 may not. ff is not a
    version.
    """
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return trace_id, span_id, flags


def ends_the_process(error: BaseException) -> bool:
    """Tell whether ``error`` must reach the server, and is not a fault of the application."""
    if isinstance(error, KeyboardInterrupt):
        # Python raises Ctrl-C in the main thread, unless the server has its own handler. uWSGI has one in C, which
        # getsignal() does not know. Its main threads serve requests.
        request = current_request.get()
        if request is not None and "uwsgi.version" in request.environ:
            return False
        in_main_thread = threading.current_thread() is threading.main_thread()
        return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, SystemExit) and process_is_leaving.is_set()

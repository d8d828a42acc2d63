"""The detection of requests that run too long. Each is counted, and logged with the stack of its thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter

from flask_ops.core import multiprocess
from flask_ops.metrics.store import STORE
from flask_ops.web.exchange import Exchange
from flask_ops.web.observer import Observer

ReportLost = Callable[[], list[dict[str, Any]]]
"""Reports the requests that hold all threads as aborted. Returns their log fields, or nothing if one has ended."""
EndProcess = Callable[[ReportLost], None]
"""Ends this process if ``ReportLost`` returns requests, so that another process takes its place."""

FRAMES = 20
"""Number of innermost frames of a stack to log."""

TIMED_OUT = ("service_requests_timed_out", "Requests that ran for longer than SERVICE_REQUEST_TIMEOUT.")

_NAME = "stuck_{}.json"
_log = structlog.stdlib.get_logger(__name__)


class StuckRequests:
    """Looks for requests that have been served for longer than ``limit`` (seconds).

    If they hold all threads of this process, it can serve nothing more. A worker with a master that replaces it
    (Gunicorn) then reports them as aborted and ends.
    """

    def __init__(self, observer: Observer, limit: float, registry: CollectorRegistry) -> None:
        self._observer, self._limit = observer, limit
        self.end_process: EndProcess | None = None
        self._timed_out = Counter(*TIMED_OUT, registry=registry)

    def check(self, threads: int) -> int:
        """Report newly stuck requests, and return how many there are. End the process if they hold all ``threads``."""
        now = time.perf_counter()
        late = [exchange for exchange in self._observer.running() if now - exchange.arrived > self._limit]
        stuck = [exchange for exchange in late if not exchange.is_websocket]  # a WebSocket may stay open for days
        self.report(exchange for exchange in stuck if not exchange.timed_out)
        if self.end_process is not None and len(stuck) >= threads:
            self.end_process(partial(self._report_lost, stuck))
        return len(stuck)

    def _report_lost(self, stuck: Collection[Exchange]) -> list[dict[str, Any]]:
        facts = [*map(_facts, stuck)]
        return facts if self._observer.abort(stuck) else []

    def report(self, exchanges: Iterable[Exchange]) -> None:
        """Log and count each of ``exchanges``."""
        frames = sys._current_frames()
        for exchange in exchanges:
            exchange.timed_out = True
            self._timed_out.inc()
            _log.error("request is stuck", **_facts(exchange), stack=_stack(frames.get(exchange.thread)))


def leave(**lost: Any) -> None:
    """Tell the master that this process is stuck, and the requests and connections that it loses."""
    (multiprocess.directory() / _NAME.format(STORE.identity())).write_bytes(orjson.dumps(lost))


def taken_down(directory: Path, owner: object) -> dict[str, Any]:
    """Return the losses that an ended worker reported with ``leave``; empty if it was not stuck."""
    try:
        lost: dict[str, Any] = orjson.loads((directory / _NAME.format(owner)).read_bytes())
    except (OSError, orjson.JSONDecodeError):  # missing, or not readable now
        return {}
    return lost


def _facts(exchange: Exchange) -> dict[str, Any]:
    ids = exchange.ids
    facts = {
        "request_id": ids.request_id,
        "method": exchange.environ["REQUEST_METHOD"],
        "route": exchange.route,
        "elapsed_seconds": round(time.perf_counter() - exchange.arrived, 3),
    }
    return {**facts, "trace_id": ids.trace_id, "span_id": ids.span_id} if ids.trace_id else facts


def _stack(frame: FrameType | None) -> list[dict[str, Any]]:
    """Return the innermost frames, innermost last, without local variables."""
    frames = [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_name}
        for frame, line in walk_stack(frame)
    ]
    return frames[:FRAMES][::-1]

"""The saturation of this process, and the requests that run too long.

Without this module, nothing would show that all threads wait for the same dependency, and where.
"""

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
from prometheus_client import CollectorRegistry, Counter, Gauge

from flask_ops.core import multiprocess
from flask_ops.core.settings import Settings
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


class Saturation:
    """Publishes the requests in flight, those that are stuck, and the capacity. Reports each stuck request once.

    The gauges have the mode ``livesum``, so they end with the process. If stuck requests hold all threads of this
    process, it can serve nothing more. A worker with a master that replaces it (Gunicorn) then reports them as aborted
    and ends.
    """

    def __init__(self, settings: Settings, observer: Observer, registry: CollectorRegistry) -> None:
        self.threads = settings.threads
        """The number of requests that this process serves at one time."""
        self.end_process: EndProcess | None = None
        """The server's function that ends a process whose threads are all stuck."""
        self._observer, self._limit = observer, settings.request_timeout
        self._timed_out = Counter(*TIMED_OUT, registry=registry)
        self._in_flight = _gauge("service_requests_in_flight", "Requests that are being served.", registry)
        self._stuck = _gauge(
            "service_requests_stuck", "Requests that run for longer than SERVICE_REQUEST_TIMEOUT.", registry
        )
        self._threads = _gauge("service_worker_threads", "Requests that can be served at one time.", registry)

    def publish(self) -> None:
        """Set the gauges. Report newly stuck requests. End the process if stuck ones hold all threads."""
        running, now = self._observer.running(), time.perf_counter()
        late = [exchange for exchange in running if now - exchange.arrived > self._limit]
        stuck = [exchange for exchange in late if not exchange.is_websocket]  # a WebSocket may stay open for days
        self._in_flight.set(len(running))
        self._stuck.set(len(stuck))
        self._threads.set(self.threads)
        self.report(exchange for exchange in stuck if not exchange.timed_out)
        if self.end_process is not None and len(stuck) >= self.threads:
            self.end_process(partial(self._report_lost, stuck))

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


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")


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
    facts = {
        "method": exchange.environ["REQUEST_METHOD"],
        "route": exchange.route,
        "elapsed_seconds": round(time.perf_counter() - exchange.arrived, 3),
    }
    exchange.ids.add_to(facts)
    return facts


def _stack(frame: FrameType | None) -> list[dict[str, Any]]:
    """Return the innermost frames, innermost last, without local variables; none if the thread has ended."""
    if frame is None:  # walk_stack() would walk the stack of this thread
        return []
    frames = [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_name}
        for frame, line in walk_stack(frame)
    ]
    return frames[:FRAMES][::-1]

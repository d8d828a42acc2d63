"""Requests that run for longer than they may: found, reported with the stack of their thread, counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter

from service.logs import sink
from service.telemetry import capacity, store
from service.web.exchange import Exchange
from service.web.observer import Observer

FRAMES = 20
"""How many of the innermost frames of a stack are told."""

_NAME = "stuck_{}.json"
_log = structlog.stdlib.get_logger(__name__)


class StuckRequests:
    """Looks for requests that have been served for longer than ``limit`` (seconds).

    Where these take every one of this process's ``threads``, it serves nothing any more. A worker
    whose master replaces it (Gunicorn) then reports them as aborted and publishes that it is stuck.
    """

    def __init__(self, observer: Observer, limit: float, threads: int, registry: CollectorRegistry) -> None:
        self._observer, self._limit, self._threads = observer, limit, threads
        self._is_replaced = capacity.threads is not None
        self._timed_out = Counter(
            "service_requests_timed_out",
            "Requests that ran for longer than SERVICE_REQUEST_TIMEOUT.",
            registry=registry,
        )

    def publish(self) -> int:
        """Report what is stuck and was not before; return how many requests are."""
        now = time.perf_counter()
        stuck = [exchange for exchange in self._observer.running() if now - exchange.started > self._limit]
        self.report(exchange for exchange in stuck if not exchange.timed_out)
        if self._is_replaced and len(stuck) >= self._threads:
            requests = orjson.dumps([*map(_facts, stuck)])
            for exchange in stuck:
                exchange.abort()
            sink.flush()  # for the master kills this process as soon as it reads the file
            (store.directory() / _NAME.format(store.identity())).write_bytes(requests)
        return len(stuck)

    def report(self, exchanges: Iterable[Exchange]) -> None:
        """Write one line about each, and count it."""
        frames = sys._current_frames()
        for exchange in exchanges:
            exchange.timed_out = True
            self._timed_out.inc()
            _log.error("request is stuck", **_facts(exchange), stack=_stack(frames.get(exchange.thread)))


def taken_down(directory: Path, owner: object) -> list[dict[str, Any]]:
    """Return the requests that hold every thread of a worker; none where it has a free one."""
    try:
        requests: list[dict[str, Any]] = orjson.loads((directory / _NAME.format(owner)).read_bytes())
    except (OSError, orjson.JSONDecodeError):  # not there, just being written, or not to be read for now
        return []
    return requests


def _facts(exchange: Exchange) -> dict[str, Any]:
    ids = exchange.ids
    facts = {
        "request_id": ids.request_id,
        "method": exchange.environ["REQUEST_METHOD"],
        "route": exchange.route_so_far(),
        "elapsed_seconds": round(time.perf_counter() - exchange.started, 3),
    }
    return {**facts, "trace_id": ids.trace_id, "span_id": ids.span_id} if ids.trace_id else facts


def _stack(frame: FrameType | None) -> list[dict[str, Any]]:
    """Return the innermost frames, the innermost last, without their local variables."""
    frames = [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_name}
        for frame, line in walk_stack(frame)
    ]
    return frames[:FRAMES][::-1]

"""The last 15 minutes of the service, in a ring buffer of the process that answers. The page draws them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from prometheus_client.metrics_core import Metric

from flask_ops.metrics.families import Labels, sums_of
from flask_ops.metrics.scrape import Collect
from flask_ops.metrics.slo import LATENCY

SECONDS = 900.0
INTERVAL_SECONDS = 5.0
MAX_INTERVAL_SECONDS = 30.0
SHARE = 1 / 200
"""The share of one CPU that samples take. With many routes, each costs more, so they become fewer."""
QUANTILE = 0.99

_log = structlog.stdlib.get_logger(__name__)


class Point(NamedTuple):
    """The time since the point before, and the state at its end. None if nothing was measured, or cannot be."""

    ended: float
    """By the monotonic clock, in seconds."""
    requests: float
    """Per second, as ``errors`` and ``refused``. Refused requests are included, and are errors too."""
    errors: float
    slow: float | None
    """The share of requests that missed a latency objective, of those that count. The time in a queue counts."""
    duration: float | None
    """The 99th percentile in seconds, as ``queue_time``. The highest bound of a bucket if it lies beyond.

    This is the service time, without the time in a queue."""
    queue_time: float | None
    refused: float
    queue: float | None
    busy: float | None


class Recent:
    """Samples of the sums over all processes. ``counts`` returns them, and runs no code of the application."""

    def __init__(self, counts: Collect) -> None:
        self._counts = counts
        self._last: _Sums | None = None
        self._failing = False
        self.points: deque[Point] = deque(maxlen=int(SECONDS / INTERVAL_SECONDS))

    def sample(self) -> float:
        """Add a point; log a failure and do not raise it. Return the seconds until the next call."""
        begin = time.thread_time()
        try:
            sums = _Sums.of(self._counts())
        except Exception:  # noqa: BLE001 - for example no descriptor left; the next sample tries again
            if not self._failing:  # log once until a sample succeeds
                _log.exception("failed to sample metrics")
            self._failing = True
        else:
            self._failing = False
            if self._last is not None and not sums.is_less_than(self._last):
                self.points.append(sums.since(self._last))
            self._last = sums
        return min(max(INTERVAL_SECONDS, (time.thread_time() - begin) / SHARE), MAX_INTERVAL_SECONDS)

    def document(self) -> dict[str, list[Any]]:
        """Return the points of the last 15 minutes as one list for each value, the oldest first."""
        now = time.monotonic()
        points = [point for point in self.points if now - point.ended <= SECONDS]
        columns: dict[str, Any] = {
            name: [None if value is None else round(value, 4) for value in (getattr(point, name) for point in points)]
            for name in Point._fields
        }
        return {"age_seconds": [round(now - ended, 1) for ended in columns.pop("ended")], **columns}


@dataclass(slots=True)
class _Sums:
    at: float
    requests: float
    errors: float
    refused: float
    slow: float
    timed: float
    """The number of requests that count for a latency objective."""
    duration: dict[float, float]
    """Cumulative counts by upper bound, as ``queue_time``."""
    queue_time: dict[float, float]
    queue: float | None
    busy: float | None

    @classmethod
    def of(cls, metrics: Mapping[str, Metric]) -> _Sums:
        requests = sums_of(metrics.get("flask_http_request"), _is_error)
        refused = sum(sums_of(metrics.get("service_requests_shed"), _is_total).values())
        return cls(
            at=time.monotonic(),
            requests=sum(requests.values()) + refused,
            errors=requests.get(True, 0) + refused,
            refused=refused,
            slow=sum(sums_of(metrics.get("service_slo_bad_events"), _is_latency).values()),
            timed=sum(sums_of(metrics.get("service_slo_events"), _is_latency).values()),
            duration=sums_of(metrics.get("flask_http_request_duration_seconds"), _bound_of_route),
            queue_time=sums_of(metrics.get("service_request_queue_seconds"), _bound),
            queue=_gauge(metrics, "service_accept_queue_length"),
            busy=_gauge(metrics, "service_requests_in_flight"),
        )

    def is_less_than(self, last: _Sums) -> bool:
        """Tell whether a count is smaller than before: a file of the store was lost."""
        return (
            self.requests < last.requests
            or self.errors < last.errors
            or self.refused < last.refused
            or self.slow < last.slow
            or self.timed < last.timed
            or any(self.duration.get(bound, 0) < count for bound, count in last.duration.items())
            or any(self.queue_time.get(bound, 0) < count for bound, count in last.queue_time.items())
        )

    def since(self, last: _Sums) -> Point:
        seconds = self.at - last.at
        return Point(
            self.at,
            (self.requests - last.requests) / seconds,
            (self.errors - last.errors) / seconds,
            (self.slow - last.slow) / (self.timed - last.timed) if self.timed > last.timed else None,
            quantile(QUANTILE, {bound: n - last.duration.get(bound, 0) for bound, n in self.duration.items()}),
            quantile(QUANTILE, {bound: n - last.queue_time.get(bound, 0) for bound, n in self.queue_time.items()}),
            (self.refused - last.refused) / seconds,
            self.queue,
            self.busy,
        )


def _is_total(name: str, _labels: Labels) -> bool | None:
    return name.endswith("_total") or None


def _is_latency(name: str, labels: Labels) -> bool | None:
    return (name.endswith("_total") and ("slo", LATENCY) in labels) or None


def _is_error(name: str, labels: Labels) -> bool | None:
    """Tell errors from other requests. An application's own exporter has the same names, without routes."""
    found = dict(labels)
    return found["status"].startswith("5") if name.endswith("_total") and "route" in found else None


def _bound(_name: str, labels: Labels) -> float | None:
    bound = dict(labels).get("le")
    return None if bound is None else float(bound)


def _bound_of_route(name: str, labels: Labels) -> float | None:
    return _bound(name, labels) if "route" in dict(labels) else None


def _gauge(metrics: Mapping[str, Metric], name: str) -> float | None:
    return sum(sample.value for sample in metrics[name].samples) if name in metrics else None


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of cumulative counts by upper bound, like Prometheus's histogram_quantile; None without any."""
    rank = q * buckets.get(math.inf, 0)
    lower = below = 0.0
    for upper, count in sorted(buckets.items()):
        if rank and count >= rank:
            return lower if upper == math.inf else lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    return None

"""The last 15 minutes of the service, in a ring buffer of the process that answers. The page draws them."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from prometheus_client.metrics_core import Metric

from flask_ops.metrics.families import values_of
from flask_ops.metrics.scrape import Collect

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
    """Per second, as ``errors`` and ``refused``."""
    errors: float
    duration: float | None
    """The 99th percentile in seconds, as ``queue_time``. The highest bound of a bucket if it lies beyond."""
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
    duration: dict[float, float]
    """Cumulative counts by upper bound, as ``queue_time``."""
    queue_time: dict[float, float]
    queue: float | None
    busy: float | None

    @classmethod
    def of(cls, metrics: Mapping[str, Metric]) -> _Sums:
        # An application's own exporter has the same names, without routes.
        totals = [
            (labels["status"], value)
            for name, labels, value in _values(metrics, "flask_http_request")
            if name.endswith("_total") and "route" in labels
        ]
        return cls(
            at=time.monotonic(),
            requests=sum(value for _, value in totals),
            errors=sum(value for status, value in totals if status.startswith("5")),
            refused=sum(v for name, _, v in _values(metrics, "service_requests_shed") if name.endswith("_total")),
            duration=_buckets(metrics, "flask_http_request_duration_seconds", "route"),
            queue_time=_buckets(metrics, "service_request_queue_seconds", "le"),
            queue=_gauge(metrics, "service_accept_queue_length"),
            busy=_gauge(metrics, "service_requests_in_flight"),
        )

    def is_less_than(self, last: _Sums) -> bool:
        """Tell whether a count is smaller than before: a file of the store was lost."""
        return (
            self.requests < last.requests
            or self.errors < last.errors
            or self.refused < last.refused
            or any(self.duration.get(bound, 0) < count for bound, count in last.duration.items())
            or any(self.queue_time.get(bound, 0) < count for bound, count in last.queue_time.items())
        )

    def since(self, last: _Sums) -> Point:
        seconds = self.at - last.at
        return Point(
            self.at,
            (self.requests - last.requests) / seconds,
            (self.errors - last.errors) / seconds,
            quantile(QUANTILE, {bound: n - last.duration.get(bound, 0) for bound, n in self.duration.items()}),
            quantile(QUANTILE, {bound: n - last.queue_time.get(bound, 0) for bound, n in self.queue_time.items()}),
            (self.refused - last.refused) / seconds,
            self.queue,
            self.busy,
        )


def _values(metrics: Mapping[str, Metric], name: str) -> Iterator[tuple[str, dict[str, str], float]]:
    if name in metrics:
        for sample, labels, value in values_of(metrics[name]):
            yield sample, dict(labels), value


def _buckets(metrics: Mapping[str, Metric], name: str, label: str) -> dict[float, float]:
    """Return the buckets of all series that have ``label``, together."""
    counts: defaultdict[str, float] = defaultdict(float)
    for sample, labels, value in _values(metrics, name):
        if sample.endswith("_bucket") and label in labels:
            counts[labels["le"]] += value
    return {float(bound): count for bound, count in counts.items()}


def _gauge(metrics: Mapping[str, Metric], name: str) -> float | None:
    return sum(value for _, _, value in _values(metrics, name)) if name in metrics else None


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of cumulative counts by upper bound, like Prometheus's histogram_quantile; None without any."""
    rank = q * buckets.get(math.inf, 0)
    lower = below = 0.0
    for upper, count in sorted(buckets.items()):
        if rank and count >= rank:
            return lower if upper == math.inf else lower + (upper - lower) * (rank - below) / (count - below)
        lower, below = upper, count
    return None

"""The last 15 minutes of the service, in a ring buffer of the process that answers. The page draws them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from prometheus_client.metrics_core import Metric

from flask_ops.metrics.families import GroupOf, Labels, sums_of
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
        self._last: tuple[float, dict[str, dict[Any, float]]] | None = None
        self._failing = False
        self.points: deque[Point] = deque(maxlen=int(SECONDS / INTERVAL_SECONDS))

    def sample(self) -> float:
        """Add a point; log a failure and do not raise it. Return the seconds until the next call."""
        begin = time.thread_time()
        try:
            self._add_point(self._counts())
        except Exception:  # noqa: BLE001 - for example no descriptor left; the next sample tries again
            if not self._failing:  # log once until a sample succeeds
                _log.exception("failed to sample metrics")
            self._failing = True
        else:
            self._failing = False
        return min(max(INTERVAL_SECONDS, (time.thread_time() - begin) / SHARE), MAX_INTERVAL_SECONDS)

    def _add_point(self, metrics: Mapping[str, Metric]) -> None:
        now, last = time.monotonic(), self._last
        sums = {name: sums_of(metrics.get(family), group_of) for name, (family, group_of) in _SUMS.items()}
        self._last = now, sums
        if last is None:
            return
        began, before = last
        if any(sums[name].get(group, 0) < count for name in before for group, count in before[name].items()):
            return  # a file of the store was lost
        new = {name: {group: sums[name][group] - before[name].get(group, 0) for group in sums[name]} for name in sums}
        seconds, refused = now - began, sum(new["refused"].values())
        slow, timed = sum(new["slow"].values()), sum(new["timed"].values())
        point = Point(
            ended=now,
            requests=(sum(new["requests"].values()) + refused) / seconds,
            errors=(new["requests"].get(True, 0) + refused) / seconds,
            slow=slow / timed if timed else None,
            duration=quantile(QUANTILE, new["duration"]),
            queue_time=quantile(QUANTILE, new["queue_time"]),
            refused=refused / seconds,
            queue=_gauge(metrics, "service_accept_queue_length"),
            busy=_gauge(metrics, "service_requests_in_flight"),
        )
        self.points.append(point)

    def document(self) -> dict[str, list[Any]]:
        """Return the points of the last 15 minutes as one list for each value, the oldest first."""
        now = time.monotonic()
        points = [point for point in self.points if now - point.ended <= SECONDS]
        columns: dict[str, Any] = {
            name: [None if value is None else round(value, 4) for value in (getattr(point, name) for point in points)]
            for name in Point._fields
        }
        return {"age_seconds": [round(now - ended, 1) for ended in columns.pop("ended")], **columns}


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


_SUMS: dict[str, tuple[str, GroupOf[Any]]] = {
    "requests": ("flask_http_request", _is_error),
    "refused": ("service_requests_shed", _is_total),
    "slow": ("service_slo_bad_events", _is_latency),
    "timed": ("service_slo_events", _is_latency),
    "duration": ("flask_http_request_duration_seconds", _bound_of_route),
    "queue_time": ("service_request_queue_seconds", _bound),
}
"""The metrics whose sums are sampled, and the group of each of their samples. ``timed`` are the requests that
count for a latency objective. The last two have cumulative counts by upper bound."""


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

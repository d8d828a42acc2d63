"""The metrics of finished requests, and the exporter whose decorators views may use."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.routing import Map

UNMATCHED = "unmatched"
"""The route of a request that no URL rule fits. The path itself is never a label."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""RFC 9110's methods and PATCH (RFC 5789); every other one is counted as ``OTHER``."""

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.3, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds; from OpenTelemetry's semantic conventions for ``http.server.request.duration``, and 0.3: the objective
for the latency (observability/rules/slo.yml) can only count what is below a bound that the histogram has."""

_BOUNDS = (*DURATION_BUCKETS, math.inf)
_LABELS = ("method", "route", "status")

_ERRORS = ("500", "502", "503", "504")
"""Statuses of which an error rate must see the first one, too."""


class Exporter(PrometheusMetrics):  # type: ignore[misc] # ships no types
    """The exporter, whose gauges of what is going on are summed over the living workers."""

    def gauge(self, name: str, description: str, labels: Any = None, **kwargs: Any) -> Any:
        """Count the invocations in progress; see the exporter's own documentation.

        Its default, prometheus_client's mode ``all``, would be one series a worker, and go on after its end.
        """
        return super().gauge(name, description, labels, **{"multiprocess_mode": "livesum", **kwargs})


exporter = Exporter.for_app_factory(path=None, export_defaults=False)
"""``@exporter.counter(...)`` and its siblings, for views. They register with the process, as
``prometheus_client.Counter(...)`` does. Requests are counted below instead, exactly once each."""


class RequestMetrics:
    """Counts finished requests under the exporter's names, so that its users' dashboards work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._duration = Histogram(
            "flask_http_request_duration_seconds",
            "Time from the request's arrival in the application to the last byte of its response.",
            _LABELS,
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._total = Counter("flask_http_request", "Requests that have ended.", _LABELS, registry=registry)
        self._exceptions = Counter(
            "flask_http_request_exceptions",
            "Requests that ended with an exception that no handler took.",
            _LABELS,
            registry=registry,
        )
        self._waited = Histogram(
            "service_request_queue_seconds",
            "Time from X-Request-Start, set by a trusted proxy, to the request's arrival in the application.",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._known_routes: WeakKeyDictionary[Map, int] = WeakKeyDictionary()
        # A lookup by keyword costs as much as the observation, so each series is bound once.
        self._series: dict[tuple[str, str, int], _Series] = {}
        # Two threads that bind the same series at once would each write their own count over the other's.
        self._binding = threading.Lock()

    def expect(self, routes: Map) -> None:
        """Have the series of every route start at 0, so that the first error or slow request is seen as an increase."""
        if len(routes._rules) == self._known_routes.get(routes):
            return
        self._known_routes[routes] = len(routes._rules)
        for rule in routes.iter_rules():
            for method in (rule.methods or set()) & METHODS - {"HEAD", "OPTIONS"}:
                for status in ("200", *_ERRORS):
                    self._total.labels(method, rule.rule, status)
                self._duration.labels(method, rule.rule, "200")
                self._exceptions.labels(method, rule.rule, "500")

    def waited(self, seconds: float) -> None:
        """Observe how long a request waited before it came here."""
        self._waited.observe(seconds)

    def observe(self, method: str, route: str, status: int, seconds: float, *, exception: bool) -> None:
        """Count one request. ``route`` is a URL rule or UNMATCHED, never a path."""
        key = (method if method in METHODS else "OTHER", route, status)
        series = self._series.get(key) or self._bind(key)
        # What Histogram.observe() does, without looking through all buckets and for what may not be observed.
        series.buckets[bisect_left(_BOUNDS, seconds)].inc(1)
        series.sum.inc(seconds)
        series.total.inc(1)
        if exception:
            (series.exceptions or self._exceptions.labels(key[0], route, str(status))).inc()

    def _bind(self, key: tuple[str, str, int]) -> _Series:
        with self._binding:
            if key not in self._series:
                method, route, status = key
                self._series[key] = _Series(
                    self._duration.labels(method, route, str(status)),
                    self._total.labels(method, route, str(status)),
                    # With the first 5xx, so that the exception is seen as an increase from 0.
                    self._exceptions.labels(method, route, str(status)) if status >= 500 else None,
                )
            return self._series[key]


class _Series:
    """What one kind of request counts up; the values themselves, below the metrics."""

    __slots__ = ("buckets", "exceptions", "sum", "total")

    def __init__(self, duration: Histogram, total: Counter, exceptions: Counter | None) -> None:
        self.buckets = duration._buckets
        self.sum = duration._sum
        self.total = total._value
        self.exceptions = exceptions

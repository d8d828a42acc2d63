"""The metrics of finished requests, and the exporter with decorators for views."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.routing import Map

from flask_ops.core.settings import Settings
from flask_ops.metrics import slo
from flask_ops.metrics.increments import Increment, increase_of
from flask_ops.metrics.slo import BadRequests, BadRequestsOfRoute, Objectives

UNMATCHED = "unmatched"
"""The route of a request that matches no URL rule. The path is never a label."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""The methods of RFC 9110 and PATCH (RFC 5789). All others count as ``OTHER``."""

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.3, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds: the bounds of OpenTelemetry's ``http.server.request.duration``, and 0.3, the default of the latency
objective. Other latency bounds get buckets of their own, so that a histogram shows how many requests are within."""

_LABELS = ("method", "route", "status")
_log = structlog.stdlib.get_logger(__name__)

_ERRORS = ("500", "502", "503", "504")
"""Statuses whose series start at 0, so that the first error of a route is an increase. All other series of a route, for
example its 18 series of durations, begin with its first request: an application may have a thousand routes."""


class Exporter(PrometheusMetrics):  # type: ignore[misc] # ships no types
    """The exporter, with in-progress gauges that are sums over the living workers."""

    def gauge(self, name: str, description: str, labels: Any = None, **kwargs: Any) -> Any:
        """Count the invocations in progress; see the exporter's own documentation.

        The default, prometheus_client's mode ``all``, has one series per worker, which outlives the worker.
        """
        return super().gauge(name, description, labels, **{"multiprocess_mode": "livesum", **kwargs})

    @staticmethod
    def do_not_track() -> NoReturn:
        """Raise TypeError: the library counts each request, so this decorator could not keep its promise."""
        raise TypeError(
            "do_not_track() is not supported: flask_ops counts every request. To keep a route out of the objectives, "
            "name it in SERVICE_SLO_EXCLUDE."
        )


exporter = Exporter.for_app_factory(path=None, export_defaults=False)
"""Decorators for views, such as ``@exporter.counter(...)``. They register with the process, as
``prometheus_client.Counter(...)`` does. ``RequestMetrics`` counts each request exactly once instead of the exporter."""


class RequestMetrics:
    """Counts finished requests under the exporter's names, so that existing dashboards work."""

    def __init__(self, registry: CollectorRegistry, settings: Settings) -> None:
        objectives = Objectives(settings)
        buckets = sorted({*DURATION_BUCKETS, *objectives.bounds.values()})
        self._bounds = (*buckets, math.inf)
        self._bad = BadRequests(objectives, registry)
        self._duration = Histogram(
            "flask_http_request_duration_seconds",
            "Time from the request's arrival in the application to the last byte of its response.",
            _LABELS,
            buckets=buckets,
            registry=registry,
        )
        self._total = Counter("flask_http_request", "Requests that have ended.", _LABELS, registry=registry)
        self._exceptions = Counter(
            "flask_http_request_exceptions",
            "Requests that ended with an exception that no handler took.",
            _LABELS,
            registry=registry,
        )
        queue = Histogram(
            "service_request_queue_seconds",
            "Time that requests waited for a thread, in the kernel's queue too.",
            buckets=buckets,
            registry=registry,
        )
        self._queue_buckets, self._queue_sum = queue._buckets, queue._sum
        self._increase = increase_of(queue._sum)
        shed = Counter(
            slo.SHED,
            "Requests that were refused because they had waited too long.",
            ["reason", "route"],
            registry=registry,
        )
        self._shed = {
            (reason, route): (shed.labels(reason, route), self._bad.of(route))
            for reason in ("late", "overload")
            for route in (slo.SERVICE, *sorted(slo.named_routes(settings)))
        }
        self._known_routes: WeakKeyDictionary[Map, int] = WeakKeyDictionary()
        self._unknown_routes = slo.named_routes(settings) - {UNMATCHED}
        # A lookup by labels costs as much as the observation, so bind each series once.
        self._series: dict[tuple[str, str, int], _Series] = {}
        # Two threads that bind the same series at once would overwrite each other's counts.
        self._binding = threading.Lock()

    def expect(self, routes: Map) -> None:
        """Start the errors of every route at 0, so that the first one is an increase."""
        if len(routes._rules) == self._known_routes.get(routes):
            return
        self._known_routes[routes] = len(routes._rules)
        self._unknown_routes -= {rule.rule for rule in routes.iter_rules()}
        if self._unknown_routes:
            hint = "the URL rules as the application has them, in SERVICE_SLO_ROUTES and SERVICE_SLO_EXCLUDE"
            _log.warning("unknown routes in objectives", routes=sorted(self._unknown_routes), hint=hint)
            self._unknown_routes = set()
        for rule in routes.iter_rules():
            for method in (rule.methods or set()) & METHODS - {"HEAD", "OPTIONS"}:
                for status in _ERRORS:
                    self._total.labels(method, rule.rule, status)
                self._exceptions.labels(method, rule.rule, "500")

    def shed(self, reason: str, queued: float, route: str = slo.SERVICE) -> None:
        """Count a refused request, after it waited for ``queued`` seconds. ``reason`` is ``late`` or ``overload``.

        ``route`` is one of ``slo.named_routes``, or SERVICE for all others: Flask has not routed the request.
        """
        total, bad = self._shed[reason, route]
        self._increase([*self._waits(queued), (total._value, 1.0)])
        if bad is not None:
            bad.count(slo.SHED_STATUS, queued)

    def observe(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        *,
        exception: bool,
        queued: float | None = None,
    ) -> None:
        """Count one request. ``route`` is a URL rule or UNMATCHED, never a path.

        ``queued`` are the seconds that it waited for a thread before; None if that is not known.
        """
        key = (method if method in METHODS else "OTHER", route, status)
        series = self._series.get(key) or self._bind(key)
        # Histogram.observe() is slower: it searches the buckets one by one and checks the labels.
        bucket = series.buckets[bisect_left(self._bounds, seconds)]
        increments = [(bucket, 1.0), (series.sum, seconds), (series.total, 1.0)]
        if queued is not None:
            increments += self._waits(queued)
            seconds += queued  # the client's time, which counts for the objectives
        self._increase(increments)
        if series.bad is not None:
            series.bad.count(status, seconds)
        if exception:
            (series.exceptions or self._exceptions.labels(key[0], route, str(status))).inc()

    def _waits(self, seconds: float) -> list[Increment]:
        increments = [(self._queue_buckets[bisect_left(self._bounds, seconds)], 1.0)]
        if seconds:  # most requests do not wait
            increments.append((self._queue_sum, seconds))
        return increments

    def _bind(self, key: tuple[str, str, int]) -> _Series:
        with self._binding:
            if key not in self._series:
                method, route, status = key
                labels = (method, route, str(status))
                duration, total = self._duration.labels(*labels), self._total.labels(*labels)
                # Created with the first 5xx, so that the first exception is an increase from 0.
                exceptions = self._exceptions.labels(*labels) if status >= 500 else None
                bad = self._bad.of(route)
                self._series[key] = _Series(duration._buckets, duration._sum, total._value, exceptions, bad)
            return self._series[key]


@dataclass(slots=True)
class _Series:
    """The values that one kind of request increments, without the metric objects around them."""

    buckets: list[Any]
    sum: Any
    total: Any
    exceptions: Counter | None
    bad: BadRequestsOfRoute | None

"""The objectives of the service and the requests that count for them.

``judge`` alone decides which requests are bad. Only bad requests are counted while they are served: a counter costs a
microsecond. The totals are sums of ``flask_http_request_total``, made at each scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from flask_ops.core.settings import Settings
from flask_ops.metrics.families import Labels, sums_of

AVAILABILITY, LATENCY = "availability", "latency"
UNCOUNTED = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
"""The routes of probes and scrapes."""
SERVICE = ""
"""The label ``route`` of the service's own objectives. Prometheus drops an empty label."""

_LABELS = ("slo", "route")
_REQUESTS = "flask_http_request"
SHED = "service_requests_shed"
SHED_STATUS = 503
"""The status of a refused request."""
REJECTED = "service_requests_rejected"
WORKER_STUCK = "worker_stuck"
"""The reason in REJECTED of a 503 to a request that waited in a stuck worker. No thread has read the request."""
_EVENTS, _BAD = "service_slo_events", "service_slo_bad_events"
_BAD_HELP = "Requests that missed an objective."


class Verdict(Enum):
    """The meaning of a request for the objectives."""

    GOOD = auto()
    FAILED = auto()
    """Bad for availability. It does not count for latency: a failure is often fast."""
    SLOW = auto()
    """Bad for latency."""
    UNTIMED = auto()
    """Good for availability. It does not count for latency."""


def judge(status: int, seconds: float, bound: float) -> Verdict:
    """Judge a finished request. docs/reference.md has this function as a table.

    ``seconds`` are from its arrival to the last byte, with the time in a queue if that is known. ``bound`` is the limit
    of its latency objective in seconds.
    """
    if status >= 500:
        return Verdict.FAILED
    if status == 101:  # a WebSocket lasts as long as its client wants
        return Verdict.UNTIMED
    # This includes 499: clients give up when a service becomes slow. A client that leaves earlier says nothing.
    return Verdict.SLOW if seconds > bound else Verdict.GOOD


def named_routes(settings: Settings) -> set[str]:
    """Return the routes that have an objective of their own, or none."""
    own = settings.slo_routes
    return {*own.availability, *own.latency, *settings.slo_exclude}


class Objectives:
    """The objectives in force: which one a request of a route counts for."""

    def __init__(self, settings: Settings) -> None:
        own = settings.slo_routes
        self.ratios = {
            (AVAILABILITY, SERVICE): settings.slo_availability,
            **{(AVAILABILITY, route): ratio for route, ratio in own.availability.items()},
            (LATENCY, SERVICE): settings.slo_latency.ratio,
            **{(LATENCY, route): latency.ratio for route, latency in own.latency.items()},
        }
        self.bounds = {
            SERVICE: settings.slo_latency.seconds,
            **{route: latency.seconds for route, latency in own.latency.items()},
        }
        self._excluded = UNCOUNTED | settings.slo_exclude

    def of(self, slo: str, route: str) -> str | None:
        """Return the route whose objective counts for requests of ``route``, SERVICE, or None if they do not count."""
        if route in self._excluded:
            return None
        return route if (slo, route) in self.ratios else SERVICE

    def of_series(self, name: str, labels: Labels) -> tuple[tuple[str, str], ...] | None:
        """Return kind and route of each objective for which a series of requests counts, refused ones too."""
        if not name.endswith("_total"):
            return None
        names = dict(labels)
        # Whether a request counts for latency depends on its status alone.
        is_timed = judge(int(names.get("status", SHED_STATUS)), 0.0, inf) is Verdict.GOOD
        kinds = (AVAILABILITY, LATENCY) if is_timed else (AVAILABILITY,)
        routes = [(slo, self.of(slo, names["route"])) for slo in kinds]
        return tuple((slo, route) for slo, route in routes if route is not None)


class BadRequests:
    """Counts the bad requests of this process."""

    def __init__(self, objectives: Objectives, registry: CollectorRegistry) -> None:
        self._objectives = objectives
        counter = Counter(_BAD, _BAD_HELP, _LABELS, registry=registry)
        # All series start at 0 now, so that the first bad request is an increase.
        self._counters = {key: counter.labels(*key) for key in objectives.ratios}

    def of(self, route: str) -> BadRequestsOfRoute | None:
        """Return the counters for requests of ``route``; None if they do not count."""
        available, timed = self._objectives.of(AVAILABILITY, route), self._objectives.of(LATENCY, route)
        if available is None or timed is None:
            return None
        failed, slow = self._counters[AVAILABILITY, available], self._counters[LATENCY, timed]
        return BadRequestsOfRoute(self._objectives.bounds[timed], failed._value.inc, slow._value.inc)


@dataclass(slots=True)
class BadRequestsOfRoute:
    """The latency bound of one route in seconds, and the functions that count its bad requests."""

    bound: float
    failed: Callable[[float], None]
    slow: Callable[[float], None]

    def count(self, status: int, seconds: float) -> None:
        """Count a finished request if it is bad."""
        verdict = judge(status, seconds, self.bound)
        if verdict is Verdict.FAILED:
            self.failed(1)
        elif verdict is Verdict.SLOW:
            self.slow(1)


def describe(settings: Settings, objectives: Objectives) -> Iterator[Metric]:
    """Yield the objectives and the owner of the service."""
    text = "Share of requests that must be good over 30 days."
    ratios = GaugeMetricFamily("service_slo_objective_ratio", text, labels=_LABELS)
    for key, ratio in objectives.ratios.items():
        ratios.add_metric(key, ratio)
    text = "Time after which a request is slow."
    bounds = GaugeMetricFamily("service_slo_latency_bound_seconds", text, labels=_LABELS)
    for route, seconds in objectives.bounds.items():
        bounds.add_metric((LATENCY, route), seconds)
    text = "Who gets the alerts, and where the runbook is; always 1."
    owner = GaugeMetricFamily("service_owner_info", text, labels=("team", "runbook_url"))
    owner.add_metric((settings.team or "", settings.runbook_url), 1)
    yield from (ratios, bounds, owner)


def add_events(metrics: dict[str, Metric], objectives: Objectives) -> None:
    """Add to the metrics of a scrape the requests that count for each objective, and the bad ones of them."""
    events = dict.fromkeys(objectives.ratios, 0.0)
    bad = {**events, **sums_of(metrics.get(_BAD), _objective)}  # until a worker has started, nothing is counted
    for name in (_REQUESTS, SHED):
        for keys, count in sums_of(metrics.get(name), objectives.of_series).items():
            for key in keys:
                events[key] += count
    for values in (events, bad):  # no process could count these: it ended
        values[AVAILABILITY, SERVICE] += sums_of(metrics.get(REJECTED), _waited_in_stuck_worker).get(True, 0.0)
    for name, text, values in ((_EVENTS, "Requests that count for an objective.", events), (_BAD, _BAD_HELP, bad)):
        family = CounterMetricFamily(name, text, labels=_LABELS)
        for key, value in values.items():
            family.add_metric(key, value)
        metrics[name] = family


def _objective(name: str, labels: Labels) -> tuple[str, str] | None:
    found = dict(labels)
    return (found["slo"], found["route"]) if name.endswith("_total") else None


def _waited_in_stuck_worker(name: str, labels: Labels) -> bool | None:
    return (name.endswith("_total") and ("reason", WORKER_STUCK) in labels) or None

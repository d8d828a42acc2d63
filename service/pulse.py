"""Publish, twice a second, what this process is doing at the moment, for whoever answers a scrape.

A gauge that each request raised and lowered would cost each request; this costs none.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service import capacity, sink, store
from service.health import Health, Status
from service.metrics import RequestMetrics
from service.observer import Observer
from service.settings import Settings

INTERVAL_SECONDS = 0.5

_log = structlog.stdlib.get_logger(__name__)


class Pulse(Collector):
    """The beat of one process. Gauges are of the ``live`` modes: they end with the process."""

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        observer: Observer,
        metrics: RequestMetrics,
        health: Health,
        registry: CollectorRegistry,
    ) -> None:
        self._app, self._observer, self._metrics, self._health = app, observer, metrics, health
        self._limit = settings.request_timeout
        self._capacity = capacity.threads or settings.threads
        self._beating = threading.Lock()
        self._failing = False
        self._routes = 0
        self._deltas: list[Callable[[], None]] = []

        def gauge(name: str, text: str, mode: str = "livesum", labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._in_flight = gauge("service_requests_in_flight", "Requests that are being served.")
        self._stuck = gauge("service_requests_stuck", "Requests that run for longer than SERVICE_REQUEST_TIMEOUT.")
        self._threads = gauge("service_worker_threads", "Requests that can be served at one time.")
        # Made with its first value: a gauge begins with 0, and a worker that has just started is not "not ready".
        self._ready = partial(gauge, "service_ready", "1 where every worker is ready, else 0.", "livemin")
        self._ready_gauge: Gauge | None = None
        check = ("check",)
        self._up = gauge("service_health_check_up", "1 where the check passes in every worker.", "livemin", check)
        self._seconds = gauge(
            "service_health_check_duration_seconds",
            "Time the check took last, in the slowest worker.",
            "livemax",
            check,
        )
        dropped = Counter("service_log_lines_dropped", "Log lines that could not be written.", registry=registry)
        self._count(dropped, sink.dropped)
        if store.is_shared():  # in a single process, prometheus_client's own collector has them
            self._count_collections(registry)

    def start(self) -> None:
        """Beat until the process ends."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def collect(self) -> Iterable[Metric]:
        """Publish what this process does right now, for the sources that a scrape asks after this one."""
        self._try_to_beat()
        return ()

    def beat(self) -> None:
        """Publish once."""
        with self._beating:
            routes = len(self._app.url_map._rules)
            if routes != self._routes:
                self._routes = routes
                self._metrics.expect(self._app.url_map.iter_rules())
            running = self._observer.running()
            now = time.perf_counter()
            self._in_flight.set(len(running))
            self._stuck.set(sum(1 for started in running if now - started > self._limit))
            self._threads.set(self._capacity)
            self._publish_health()
            for publish in self._deltas:
                publish()

    def _run(self) -> None:
        while True:
            self._try_to_beat()
            time.sleep(INTERVAL_SECONDS)

    def _try_to_beat(self) -> None:
        try:
            self.beat()
        except Exception:  # noqa: BLE001 - a full disk, say: it is told, and tried again
            if not self._failing:  # once, until it works again
                _log.exception("metrics cannot be published")
            self._failing = True
        else:
            self._failing = False

    def _publish_health(self) -> None:
        status = self._health.status()
        if status is not Status.STARTING:
            self._ready_gauge = self._ready_gauge or self._ready()
            self._ready_gauge.set(0 if status is Status.DOWN else 1)
        for name, check_status, seconds in self._health.results():
            self._up.labels(name).set(0 if check_status is Status.DOWN else 1)
            self._seconds.labels(name).set(seconds)

    def _count(self, counter: Counter, current: Callable[[], float]) -> None:
        """Have ``counter`` follow a number that only grows, but starts anew with each process."""
        published = 0.0

        def publish() -> None:
            nonlocal published
            now = current()
            counter.inc(now - published)
            published = now

        self._deltas.append(publish)

    def _count_collections(self, registry: CollectorRegistry) -> None:
        names = {
            "collections": ("python_gc_collections", "Garbage collections."),
            "collected": ("python_gc_objects_collected", "Objects that garbage collections have freed."),
            "uncollectable": ("python_gc_objects_uncollectable", "Objects that garbage collections could not free."),
        }
        for key, (name, text) in names.items():
            counter = Counter(name, text, ["generation"], registry=registry)
            for generation in range(3):
                self._count(counter.labels(str(generation)), partial(_collections, generation, key))


def _collections(generation: int, key: str) -> float:
    return float(gc.get_stats()[generation][key])

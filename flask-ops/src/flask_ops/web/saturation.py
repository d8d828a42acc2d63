"""How busy this process is: its gauges are of the mode ``livesum`` and end with it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from flask_ops.core.settings import Settings
from flask_ops.web.observer import Observer
from flask_ops.web.stuck_requests import EndWhere, StuckRequests


class Saturation:
    """Publishes how many requests are being served, of how many that could be."""

    def __init__(self, settings: Settings, observer: Observer, registry: CollectorRegistry) -> None:
        self._observer = observer
        self._capacity = settings.threads
        self._find_stuck = StuckRequests(observer, settings.request_timeout, registry)
        self._in_flight = _gauge("service_requests_in_flight", "Requests that are being served.", registry)
        self._stuck = _gauge(
            "service_requests_stuck", "Requests that run for longer than SERVICE_REQUEST_TIMEOUT.", registry
        )
        self._threads = _gauge("service_worker_threads", "Requests that can be served at one time.", registry)

    def run_with(self, threads: int | None, end_where: EndWhere | None) -> None:
        """Take the number of threads from the server, and its way to end a process of which every thread is stuck."""
        self._capacity = threads or self._capacity
        self._find_stuck.end_where = end_where

    def publish(self) -> None:
        """Set the gauges."""
        self._in_flight.set(len(self._observer.running()))
        self._stuck.set(self._find_stuck.publish(self._capacity))
        self._threads.set(self._capacity)

    def abort(self) -> None:
        """Report what this process, which is being killed for its silence, will not finish."""
        self._find_stuck.report(self._observer.running())


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")

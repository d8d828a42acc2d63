"""The saturation of this process. Its gauges have the mode ``livesum``, so they end with the process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from flask_ops.core.settings import Settings
from flask_ops.web.observer import Observer
from flask_ops.web.stuck_requests import EndProcess, StuckRequests


class Saturation:
    """Publishes the number of requests in flight, the number stuck, and the capacity."""

    def __init__(self, settings: Settings, observer: Observer, registry: CollectorRegistry) -> None:
        self._observer = observer
        self._capacity = settings.threads
        self._find_stuck = StuckRequests(observer, settings.request_timeout, registry)
        self._in_flight = _gauge("service_requests_in_flight", "Requests that are being served.", registry)
        self._stuck = _gauge(
            "service_requests_stuck", "Requests that run for longer than SERVICE_REQUEST_TIMEOUT.", registry
        )
        self._threads = _gauge("service_worker_threads", "Requests that can be served at one time.", registry)

    def run_with(self, threads: int | None, end_process: EndProcess | None) -> None:
        """Use the server's number of threads, and its function that ends a process whose threads are all stuck."""
        self._capacity = threads or self._capacity
        self._find_stuck.end_process = end_process

    def publish(self) -> None:
        """Set the gauges."""
        self._in_flight.set(len(self._observer.running()))
        self._stuck.set(self._find_stuck.check(self._capacity))
        self._threads.set(self._capacity)

    def report_stuck(self) -> None:
        """Report the requests in flight, because the process is being killed as unresponsive."""
        self._find_stuck.report(self._observer.running())


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")

"""The monitoring of one process: request metrics, request log, readiness, and the thread that publishes them.

Each serving process has exactly one. Two sets of metric objects for one stored value would lose counts.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from flask import Flask
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Map

from flask_ops.core import multiprocess
from flask_ops.core.background import FORBIDDEN
from flask_ops.core.settings import Settings
from flask_ops.health.engine import Health
from flask_ops.health.metrics import HealthMetrics
from flask_ops.health.readiness import Readiness
from flask_ops.log import levels, ownership
from flask_ops.log.request_log import RequestLog
from flask_ops.metrics.pulse import Pulse
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.metrics.sources import Collector, counters
from flask_ops.metrics.store import STORE
from flask_ops.ops.startup import PROCESS
from flask_ops.web.admission import Admission
from flask_ops.web.observer import Observer
from flask_ops.web.stuck_requests import EndProcess, Saturation

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Runtime:
    """The parts that a process has once, even if it serves several applications."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server = "werkzeug"
        """The name of the server that runs this process."""
        registry = CollectorRegistry()
        self._metrics = RequestMetrics(registry, settings)
        self._url_maps: WeakSet[Map] = WeakSet()
        self.health = HealthMetrics(registry)
        self.admission = Admission(settings, self._metrics)
        self.observer = Observer(self._metrics, RequestLog(settings), self.admission)
        self.saturation = Saturation(settings, self.observer, registry)
        self._pulse = Pulse(
            [
                STORE.maintain,  # first: the others write into its folder
                self._expect_routes,
                self.saturation.publish,
                self.admission.publish,
                self.health.publish,
                *counters(registry),
                ownership.keep,
                levels.refresh,
                STORE.fold_ended,  # last: it needs space on the disk, the others do not
            ]
        )
        own = () if multiprocess.is_shared() else (registry.collect,)  # the store has all of it
        self.metrics = Collector(settings, lambda: self.server, *own)
        self._pid = 0
        self._starting = threading.Lock()

    def run_under(self, server: str, threads: int | None = None, end_process: EndProcess | None = None) -> None:
        """Set the server of this process.

        ``threads`` is the number of requests that it serves at one time, by default ``SERVICE_THREADS``.
        ``end_process`` ends the process if all of them are stuck.
        """
        self.server = server
        self.saturation.threads = threads or self.settings.threads
        self.saturation.end_process = end_process

    def collect(self) -> dict[str, Metric]:
        """Publish the metrics of this process, then return those of all processes."""
        self._pulse.beat()
        return self.metrics.collect()

    def observe(self, app: Any) -> WSGIApplication:
        """Wrap the WSGI application ``app`` to observe each request once and to apply the trusted proxies' headers."""
        if isinstance(app, Flask):
            self.expect_routes(app)
        hops = self.settings.trusted_proxies
        if hops:
            app = ProxyFix(app, x_for=hops, x_proto=hops, x_host=self.settings.trusted_host_proxies)
        return self.observer.observe(app)

    def expect_routes(self, app: Flask) -> None:
        """Start the errors of all routes of ``app`` at 0, so that the first one is an increase."""
        self._url_maps.add(app.url_map)

    def add_health(self, health: Health) -> None:
        """Publish the results of an application's readiness checks while the application exists."""
        self.health.add(health)
        if self._pid == os.getpid():
            health.start()

    def start(self) -> None:
        """Start the background threads of this process, once. Call it after a fork: threads do not survive one."""
        if self._pid == os.getpid() or FORBIDDEN.is_set():
            return
        with self._starting:
            if self._pid != os.getpid():
                with contextlib.suppress(OSError):  # the pulse tries again, and logs a failure
                    STORE.settle()  # first: other threads count as soon as _pid is set
                self._pid = os.getpid()
                self.admission.open()
                self.health.start()
                self._pulse.start()

    def readiness(self, exclude: Collection[str] = (), health: Health | None = None) -> Readiness:
        """Return the readiness in all processes, of one application or of all, without the checks in ``exclude``."""
        if health is not None:
            health.run_in_foreground()
        return self.health.readiness(exclude, health)

    def _expect_routes(self) -> None:
        for url_map in list(self._url_maps):
            self._metrics.expect(url_map)


_building = threading.Lock()


def obtain(settings: Settings) -> Runtime:
    """Return the runtime of this process. Only the first call uses ``settings``."""
    with _building:
        if PROCESS.runtime is None:
            PROCESS.runtime = Runtime(settings)
        found: Runtime = PROCESS.runtime
        return found

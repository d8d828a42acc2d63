"""The monitoring of one process: the metrics and lines of its requests, its readiness, and who publishes them.

There is one in each process that serves. Two sets of metric objects for one stored value would lose counts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Map

from flask_ops.core import background, multiprocess
from flask_ops.core.settings import Settings
from flask_ops.health.engine import Health
from flask_ops.health.metrics import HealthMetrics
from flask_ops.health.readiness import Readiness
from flask_ops.log import RequestLog, levels
from flask_ops.metrics import following, store, store_files
from flask_ops.metrics.pulse import Pulse
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.metrics.sources import sources
from flask_ops.web.observer import Observer
from flask_ops.web.saturation import Saturation

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Runtime:
    """The parts that a process has once, however many applications it serves."""

    def __init__(self, settings: Settings, server: str) -> None:
        self.settings, self.server = settings, server
        registry = CollectorRegistry()
        self._metrics = RequestMetrics(registry)
        self._url_maps: WeakSet[Map] = WeakSet()
        self._health = HealthMetrics(registry)
        self.observer = Observer(self._metrics, RequestLog(settings), trust_request_start=settings.trusted_proxies > 0)
        self._saturation = Saturation(settings, self.observer, registry)
        self._pulse = Pulse(
            [
                self._expect_routes,
                self._saturation.publish,
                self._health.publish,
                *following.counters(registry),
                levels.refresh,
                *([store_files.reopen_lost] if multiprocess.is_shared() else []),
            ]
        )
        self.sources = [self._pulse, *sources(settings, lambda: self.server), registry]
        self._pid = 0
        self._starting = threading.Lock()

    def observe(self, app: Any) -> WSGIApplication:
        """Return ``app``, any WSGI callable, with each request observed once, believing the trusted proxies."""
        if isinstance(app, Flask):
            self.expect_routes(app)
        hops = self.settings.trusted_proxies
        if hops:
            app = ProxyFix(app, x_for=hops, x_proto=hops, x_host=self.settings.trusted_host_proxies)
        return self.observer.observe(app)

    def expect_routes(self, app: Flask) -> None:
        """Make the series of all routes of ``app``, so that the first error is seen as an increase from 0."""
        self._url_maps.add(app.url_map)

    def add_health(self, health: Health) -> None:
        """Publish the results of an application's readiness checks as long as that application lives."""
        self._health.add(health)
        if self._pid == os.getpid():
            health.start()

    def start(self) -> None:
        """Start the background threads of this process, once. Threads do not survive a fork, so call it after one."""
        if self._pid == os.getpid() or not background.is_allowed():
            return
        with self._starting:
            if self._pid != os.getpid():
                store.serve()  # first: other threads count as soon as the pid is noted
                self._pid = os.getpid()
                self._health.start()
                self._pulse.start()

    def readiness(self, exclude: Collection[str] = ()) -> Readiness:
        """Return the readiness of all applications in all processes; ``exclude`` names checks that do not count."""
        return self._health.readiness(exclude)

    def readiness_of(self, health: Health, exclude: Collection[str] = ()) -> Readiness:
        """Return the readiness of one application in all processes."""
        health.run_in_foreground()
        return self._health.readiness(exclude, health)

    def abort(self) -> None:
        """Report the requests of this process, which is being killed because it is unresponsive."""
        self._saturation.abort()

    def cut_off(self) -> None:
        """Report the requests that the end of this process interrupts."""
        self.observer.cut_off()

    def _expect_routes(self) -> None:
        for url_map in list(self._url_maps):
            self._metrics.expect(url_map)


_current: Runtime | None = None
_building = threading.Lock()


def current() -> Runtime | None:
    """Return the runtime of this process, None if nothing has needed one yet."""
    return _current


def obtain(settings: Settings, server: str = "werkzeug") -> Runtime:
    """Return the runtime of this process. The first call makes it with its arguments; later calls change nothing."""
    global _current  # noqa: PLW0603 - one runtime a process
    with _building:
        if _current is None:
            _current = Runtime(settings, server)
        return _current


def replace(runtime: Runtime | None) -> Runtime | None:
    """Make ``runtime`` the one of this process and return the one before. For tests that need their own."""
    global _current
    before, _current = _current, runtime
    return before

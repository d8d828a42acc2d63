"""The readiness of this process, published as metrics and to the other processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection
from weakref import ref

from prometheus_client import CollectorRegistry, Gauge

from flask_ops.core import multiprocess
from flask_ops.health import Check, Result, Status, readiness
from flask_ops.health.engine import Health
from flask_ops.health.readiness import Readiness
from flask_ops.metrics.store import STORE


class HealthMetrics:
    """Publishes the results of this process, and combines them with the results of other processes.

    Without it, the answer of a probe would depend on the worker that answers.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._healths: list[ref[Health]] = []
        self._publishing = threading.Lock()  # the pulse and each request for the readiness publish
        self._published: tuple[str, list[Result]] | None = None
        self._ready: Gauge | None = None
        self._up = Gauge(
            "service_health_check_up",
            "1 if the check passes in every worker.",
            ["check"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._seconds = Gauge(
            "service_health_check_duration_seconds",
            "Duration of the last run of the check, in the slowest worker.",
            ["check"],
            registry=registry,
            multiprocess_mode="livemax",
        )

    def add(self, health: Health) -> None:
        """Publish the checks of one more application, as long as the application exists."""
        self._healths.append(ref(health))
        health.application = len(self._healths)

    def start(self) -> None:
        """Start the checks in this process."""
        for health in self._living():
            health.start()

    def checks(self) -> list[Check]:
        """Return the checks of all applications of this process."""
        return [check for health in self._living() for check in health.checks]

    def publish(self) -> None:
        """Publish the current results."""
        with self._publishing:
            results = self._results()
            combined = readiness.combine([results])
            if combined.status is not Status.STARTING:
                # Created with its first value: a gauge starts at 0, but a starting worker does not count as not ready.
                self._ready = self._ready or Gauge(
                    "service_ready",
                    "1 if every worker is ready, otherwise 0.",
                    registry=self._registry,
                    multiprocess_mode="livemin",
                )
                self._ready.set(combined.status.is_ready)
            for result in combined.checks.values():
                if result.status is not Status.STARTING:
                    self._up.labels(result.name).set(result.status is not Status.DOWN)
                    self._seconds.labels(result.name).set(result.seconds)
            if multiprocess.is_shared() and (STORE.identity(), results) != self._published:
                readiness.publish(multiprocess.directory(), STORE.identity(), results)
                self._published = STORE.identity(), results

    def readiness(self, exclude: Collection[str] = (), health: Health | None = None) -> Readiness:
        """Return the readiness of all processes, with the current results of this one.

        It covers all applications, or only the application of ``health``.
        """
        if not multiprocess.is_shared():
            results = self._results() if health is None else health.results()
            return readiness.combine([results], exclude=exclude)
        with contextlib.suppress(OSError):  # the pulse logs it; use the results published before
            self.publish()
        application = None if health is None else health.application
        return readiness.of_workers(multiprocess.directory(), exclude, application=application)

    def _living(self) -> list[Health]:
        return [health for each in self._healths if (health := each()) is not None]

    def _results(self) -> list[Result]:
        return [result for health in self._living() for result in health.results()]


def status_elsewhere(check: str, application: int | None = None) -> Status:
    """Return the status of a check in the other processes, STARTING if they have no result."""
    if not multiprocess.is_shared():
        return Status.STARTING
    processes = readiness.published(multiprocess.directory(), application=application)
    found = readiness.combine(processes).checks.get(check)
    return found.status if found is not None else Status.STARTING

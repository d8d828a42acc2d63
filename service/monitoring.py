"""What monitors one application: its checks, and where its metrics come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask
from prometheus_client.registry import Collector

from service.health import Health
from service.management import Readiness

_KEY = "service.monitoring"


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Kept with the application, for the server that runs it."""

    health: Health
    sources: Sequence[Collector]

    def attach(self, app: Flask) -> None:
        """Keep this with ``app``."""
        app.extensions[_KEY] = self

    @classmethod
    def of(cls, app: Flask) -> Monitoring:
        """Return what was attached to ``app``. Raises KeyError where nothing was."""
        found: Monitoring = app.extensions[_KEY]
        return found

    def readiness(self) -> Readiness:
        """Return what this process says."""
        return Readiness(self.health.status(), {name: status for name, status, _ in self.health.results()})

"""What monitors one application: its checks, and where its metrics come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Flask
from prometheus_client.registry import Collector

from service.health.answer import Find

_KEY = "service.monitoring"


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Kept with the application, for the server that runs it."""

    readiness: Find
    abort: Callable[[], None]
    """Reports the requests of a process that is being killed for its silence."""
    cut_off: Callable[[], None]
    """Reports the requests that a stop does not let end."""
    sources: Sequence[Collector]

    def attach(self, app: Flask) -> None:
        """Keep this with ``app``."""
        app.extensions[_KEY] = self

    @classmethod
    def of(cls, app: Flask) -> Monitoring:
        """Return what was attached to ``app``. Raises KeyError where nothing was."""
        found: Monitoring = app.extensions[_KEY]
        return found

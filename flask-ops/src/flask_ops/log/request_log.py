"""The line of each finished request, without the layers that it does not need."""

from __future__ import annotations

import logging
from typing import Any

from flask_ops.core.settings import Settings
from flask_ops.log import ownership, sink
from flask_ops.log.line import Lines


class RequestLog:
    """Writes the lines of requests. A logger would cost several times as much in each request."""

    def __init__(self, settings: Settings) -> None:
        self._lines = Lines(settings)
        self._shares = settings.log_samples
        self._slow_seconds = settings.log_slow_seconds
        self.has_query = settings.log_query
        # Not a structlog logger: this one checks the level of each line at a tenth of the cost.
        self._logger = logging.getLogger("service.request")

    def is_enabled(self, level: int) -> bool:
        """Tell whether lines of this level (``logging.INFO``, ...) are written."""
        if ownership.OWNERSHIP.enabled is not None:  # another configuration may have disabled our logger
            ownership.keep()
        return self._logger.isEnabledFor(level)

    def share(self, route: str, seconds: float) -> float:
        """Return the share (0 to 1) of successful requests like this one to log."""
        if not self._shares or seconds >= self._slow_seconds:
            return 1.0
        return self._shares.get(route, self._shares.get("*", 1.0))

    def masked(self, query: str) -> str:
        """Return a query string without its secrets."""
        return self._lines.mask.query(query)

    def write(self, level: str, fields: dict[str, Any]) -> None:
        """Write one line. ``level`` is a name in lower case. ``fields`` are flat and hold no secrets."""
        sink.write_line(self._lines.make_trusted(level, "request", fields))

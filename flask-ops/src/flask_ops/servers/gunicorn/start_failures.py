"""The pauses between failed attempts to start a worker. Each failure in a row makes them longer.

Without them, the master would fork failing workers without a pause.
"""

from __future__ import annotations

import time
from typing import Any

import structlog

RETRY_SECONDS = 30.0
"""Maximum pause before the next attempt."""

_log = structlog.stdlib.get_logger(__name__)


class StartFailures:
    """Counts failed attempts in a row. True if the last attempt failed."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._retry_at = 0.0

    def __bool__(self) -> bool:
        return self._in_a_row > 0

    @property
    def is_pause(self) -> bool:
        """True until the next attempt is due."""
        return time.monotonic() < self._retry_at

    def note(self, workers_left: int, **why: Any) -> None:
        """Log that a worker failed to start, with the fields ``why``."""
        if not self.is_pause:  # workers that start together are one attempt
            self._in_a_row += 1
            self._retry_at = time.monotonic() + min(2.0**self._in_a_row, RETRY_SECONDS)
        pause = round(self._retry_at - time.monotonic(), 1)
        _log.error("worker failed to start", retry_seconds=pause, workers_left=workers_left, **why)

    def forget(self) -> None:
        """Reset the pauses, because all workers have started."""
        self._in_a_row = 0

"""Pauses between attempts to start a worker, the longer the more have failed in a row."""

from __future__ import annotations

import time
from typing import Any

import structlog

RETRY_SECONDS = 30.0
"""The longest pause before a worker is started in place of one that could not start."""

_log = structlog.stdlib.get_logger(__name__)


class StartFailures:
    """Counts the attempts that have failed; true while the last one has."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._retry_at = 0.0

    def __bool__(self) -> bool:
        return self._in_a_row > 0

    @property
    def is_pause(self) -> bool:
        """True until the next attempt may be made."""
        return time.monotonic() < self._retry_at

    def note(self, workers_left: int, **why: Any) -> None:
        """Log that a worker could not be started; ``why`` becomes part of the line."""
        if not self.is_pause:  # several that were started together are one attempt
            self._in_a_row += 1
            self._retry_at = time.monotonic() + min(2.0**self._in_a_row, RETRY_SECONDS)
        pause = round(self._retry_at - time.monotonic(), 1)
        _log.error("worker failed to start", retry_seconds=pause, workers_left=workers_left, **why)

    def forget(self) -> None:
        """Begin with short pauses again: all workers have started."""
        self._in_a_row = 0

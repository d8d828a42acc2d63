"""Publish, twice a second, what this process is doing at the moment, for whoever answers a scrape or a probe.

A gauge that each request raised and lowered would cost each request; this costs none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from weakref import ref

import structlog

INTERVAL_SECONDS = 0.5

_log = structlog.stdlib.get_logger(__name__)


class Pulse:
    """The beat of one process, with which each of ``publishers`` is called."""

    def __init__(self, publishers: Sequence[Callable[[], None]]) -> None:
        self._publishers = publishers
        self._beating = threading.Lock()
        self._failing = False

    def start(self) -> None:
        """Beat as long as anybody refers to this: until the process ends or, in tests, the application."""
        threading.Thread(target=_run, args=(ref(self),), name="pulse", daemon=True).start()

    def beat(self) -> None:
        """Publish once."""
        with self._beating:
            for publish in self._publishers:
                publish()

    def try_to_beat(self) -> None:
        """Publish once; where that fails, say so in the log."""
        try:
            self.beat()
        except Exception:  # noqa: BLE001 - a full disk, say: it is told, and tried again
            if not self._failing:  # once, until it works again
                _log.exception("failed to publish metrics")
            self._failing = True
        else:
            self._failing = False


def _run(find: ref[Pulse]) -> None:
    while (pulse := find()) is not None:
        pulse.try_to_beat()
        del pulse  # nobody is to be kept by who sleeps
        time.sleep(INTERVAL_SECONDS)

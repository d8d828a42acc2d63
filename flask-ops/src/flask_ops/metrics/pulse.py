"""The thread that publishes the state of this process twice a second, for scrapes and probes.

A gauge that each request raises and lowers would slow down every request. This thread does not.
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
    """The beat of one process, which calls each of ``publishers``."""

    def __init__(self, publishers: Sequence[Callable[[], None]]) -> None:
        self._publishers = publishers
        self._beating = threading.Lock()
        self._failing = False

    def start(self) -> None:
        """Beat while a reference to this object exists: until the process ends or, in tests, the application."""
        threading.Thread(target=_run, args=(ref(self),), name="pulse", daemon=True).start()

    def beat(self) -> None:
        """Publish once; log a failure and do not raise it."""
        with self._beating:
            try:
                for publish in self._publishers:
                    publish()
            except Exception:  # noqa: BLE001 - for example a full disk; the next beat tries again
                if not self._failing:  # log once until a beat succeeds
                    _log.exception("failed to publish metrics")
                self._failing = True
            else:
                self._failing = False


def _run(find: ref[Pulse]) -> None:
    while (pulse := find()) is not None:
        pulse.beat()
        del pulse  # a sleeping thread must not keep it alive
        time.sleep(INTERVAL_SECONDS)

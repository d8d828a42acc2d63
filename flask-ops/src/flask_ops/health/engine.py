"""Runs the readiness checks of one process in the background, so that no probe waits for a dependency."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from flask_ops.health import Check, Result, Status
from flask_ops.health.runner import Runner


def _alone(_name: str) -> Status:
    return Status.STARTING


class Health:
    """The checks of one process, each in a thread of its own, and what they said last.

    ``others`` returns what other workers say of a check, STARTING where they say nothing.
    """

    def __init__(self, checks: Iterable[Check] = (), others: Callable[[str], Status] = _alone) -> None:
        self._runners = [Runner(check, others) for check in checks]
        names = [runner.check.name for runner in self._runners]
        if len(set(names)) < len(names):
            raise ValueError(f"two readiness checks have the same name: {', '.join(sorted(names))}")
        self.application = 0
        """Which application of the process this is, counted in the order in which they were attached."""
        self._pid = 0
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the checks in this process, once. Threads do not survive a fork, so ask again after one."""
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                for runner in self._runners:
                    runner.reset()
                    runner.start()

    def results(self) -> list[Result]:
        """Return what is known of each check."""
        self.start()
        return [replace(runner.result(), application=self.application) for runner in self._runners]

"""The background runs of the readiness checks of one process. No probe waits for a dependency."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from flask_ops.core.background import BACKGROUND
from flask_ops.health import Check, Result, Status
from flask_ops.health.runner import Runner


def _alone(_name: str) -> Status:
    return Status.STARTING


class Health:
    """The checks of one process, each in its own thread, and their last results.

    ``others`` returns the status of a check in other workers, STARTING if they have no result.
    """

    def __init__(self, checks: Iterable[Check] = (), others: Callable[[str], Status] = _alone) -> None:
        self._runners = [Runner(check, others) for check in checks]
        names = [runner.check.name for runner in self._runners]
        if len(set(names)) < len(names):
            raise ValueError(f"two readiness checks have the same name: {', '.join(sorted(names))}")
        self.application = 0
        """The number of the application in the process, in the order of attachment."""
        self._pid = 0
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the checks in this process, once. Threads do not survive a fork, so call this again after one."""
        if self._pid == os.getpid() or not BACKGROUND.is_allowed:
            return
        with self._starting:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                for runner in self._runners:
                    runner.reset()
                    runner.start()

    def run_in_foreground(self) -> None:
        """Run each check once in this thread, if background threads are forbidden."""
        with self._starting:
            if self._pid != os.getpid() and not BACKGROUND.is_allowed:
                for runner in self._runners:
                    runner.reset()
                    runner.run()

    def check(self, name: str) -> Check:
        """Return the check called ``name``. Raises LookupError, which lists the existing names."""
        checks = {runner.check.name: runner.check for runner in self._runners}
        if not checks:
            raise LookupError(f"There is no check called {name!r}: the application has no checks.")
        if name not in checks:
            raise LookupError(f"There is no check called {name!r}, only {', '.join(sorted(checks))}.")
        return checks[name]

    def results(self) -> list[Result]:
        """Return the current result of each check."""
        self.start()
        return [replace(runner.result(), application=self.application) for runner in self._runners]

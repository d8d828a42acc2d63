"""Readiness checks: each runs in the background, so that no probe waits for a dependency."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog

_log = structlog.stdlib.get_logger(__name__)


class Status(StrEnum):
    """What a check, or all of them together, say."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency without which the service cannot answer.

    ``probe`` returns where it is well and raises where it is not. One that takes longer than
    ``timeout`` (seconds) counts as failed. It runs again ``interval`` (seconds) after it ended.
    Where a check that is not ``critical`` fails, the service is degraded and stays ready.
    """

    name: str
    probe: Callable[[], object]
    timeout: float = 1.0
    interval: float = 10.0
    critical: bool = True


class Health:
    """Runs the checks of one process and knows what they last said."""

    def __init__(self, checks: Iterable[Check] = ()) -> None:
        self._runners = [_Runner(check) for check in checks]
        names = [runner.check.name for runner in self._runners]
        if len(set(names)) < len(names):
            raise ValueError(f"two readiness checks have the same name: {', '.join(sorted(names))}")
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
                    threading.Thread(target=runner.run, name=f"check-{runner.check.name}", daemon=True).start()

    def status(self) -> Status:
        """Return the worst of what the critical checks say; DEGRADED if only others fail."""
        self.start()
        worst = Status.OK
        for runner in self._runners:
            status = runner.status()
            if runner.check.critical and status is not Status.OK:
                return status
            if status is Status.DOWN:
                worst = Status.DEGRADED
        return worst


class _Runner:
    """One check and the one thread that runs it: a check that hangs is not started a second time."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._status = Status.STARTING
        self._started: float | None = None  # monotonic; None while the check is not running

    def status(self) -> Status:
        started = self._started
        if started is not None and time.monotonic() - started > self.check.timeout:
            return Status.DOWN
        return self._status

    def run(self) -> None:
        while True:
            self._started = time.monotonic()
            reason = self._probe()
            seconds = time.monotonic() - self._started
            if reason is None and seconds > self.check.timeout:
                reason = "timed out"
            status = Status.DOWN if reason else Status.OK
            if status is not self._status:
                self._log_change(status, reason, seconds)
            self._status, self._started = status, None
            time.sleep(self.check.interval)

    def _log_change(self, status: Status, reason: str | None, seconds: float) -> None:
        log = _log.bind(check=self.check.name, status=status, duration_ms=round(seconds * 1000, 3))
        if reason:
            log.warning("readiness check failed", reason=reason)
        elif self._status is Status.STARTING:
            log.debug("readiness check passed")
        else:
            log.info("readiness check passed again")

    def _probe(self) -> str | None:
        """Run the check; return why it failed."""
        try:
            self.check.probe()
        except Exception as error:  # noqa: BLE001 - whatever it raises, the dependency is down
            return type(error).__name__
        return None

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
                    runner.reset()
                    threading.Thread(target=runner.run, name=f"check-{runner.check.name}", daemon=True).start()

    def status(self) -> Status:
        """Return the worst of what the critical checks say; DEGRADED if only others fail."""
        self.start()
        critical = {runner.status() for runner in self._runners if runner.check.critical}
        for status in (Status.DOWN, Status.STARTING):
            if status in critical:
                return status
        others = {runner.status() for runner in self._runners}
        return Status.DEGRADED if Status.DOWN in others else Status.OK

    def results(self) -> list[tuple[str, Status, float]]:
        """Return name, status and last duration (seconds) of each check that has a result."""
        found = [(runner.check.name, runner.status(), runner.seconds) for runner in self._runners]
        return [result for result in found if result[1] is not Status.STARTING]


class _Runner:
    """One check and the one thread that runs it: a check that hangs is not started a second time."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.reset()

    def reset(self) -> None:
        """Forget what was found: after a fork, that was another process."""
        self._status = Status.STARTING
        self.seconds = 0.0
        self._started: float | None = None  # monotonic; None while the check is not running
        self._changing = threading.Lock()

    def status(self) -> Status:
        started = self._started
        if started is not None:
            seconds = time.monotonic() - started
            if seconds > self.check.timeout:
                self._change(Status.DOWN, seconds, "timed out")
        return self._status

    def run(self) -> None:
        while True:
            started = self._started = time.monotonic()
            reason = self._probe()
            seconds = time.monotonic() - started
            self._started = None
            if reason is None and seconds > self.check.timeout:
                reason = "timed out"
            self._change(Status.DOWN if reason else Status.OK, seconds, reason)
            time.sleep(self.check.interval)

    def _change(self, status: Status, seconds: float, reason: str | None) -> None:
        """Take over what the check, or whoever waits for it, has found; log it if it is news."""
        with self._changing:
            before, self._status, self.seconds = self._status, status, seconds
        if status is before:
            return
        log = _log.bind(check=self.check.name, status=status, duration_ms=round(seconds * 1000, 3))
        if reason:
            log.warning("readiness check failed", reason=reason)
        elif before is Status.STARTING:
            log.debug("readiness check passed")
        else:
            log.info("readiness check passed")

    def _probe(self) -> str | None:
        """Run the check; return why it failed."""
        try:
            self.check.probe()
        except BaseException as error:  # noqa: BLE001 - whatever it raises, SystemExit too, it is down
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return None

"""The background runs of the readiness checks of one process. Without them, each probe would wait for dependencies."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from inspect import isawaitable, iscoroutine
from weakref import ref

import structlog

from flask_ops.core.background import FORBIDDEN
from flask_ops.health import Check, Result, Status

JITTER = 0.1
"""Random variation of an interval, as a share of it, so that the workers do not query a dependency all at once."""
TIMED_OUT = "timed out"

_random = random.SystemRandom()  # differs between forked workers, and leaves the application's random numbers alone
_log = structlog.stdlib.get_logger(__name__)


class Health:
    """The checks of one process, each in its own thread, and their last results.

    ``others`` returns the status of a check in other workers, STARTING if they have no result.
    """

    def __init__(
        self, checks: Iterable[Check] = (), others: Callable[[str], Status] = lambda _name: Status.STARTING
    ) -> None:
        self.checks = list(checks)
        self._others = others
        self._renew()
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError(f"two readiness checks have the same name: {', '.join(sorted(names))}")
        self.application = 0
        """The number of the application in the process, in the order of attachment."""
        self._pid = 0
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the checks in this process, once. Threads do not survive a fork, so call this again after one."""
        if self._pid == os.getpid() or FORBIDDEN.is_set():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                for runner in self._renew():
                    runner.start()

    def run_in_foreground(self) -> None:
        """Run each check once in this thread, if background threads are forbidden."""
        with self._starting:
            if self._pid != os.getpid() and FORBIDDEN.is_set():
                for runner in self._renew():
                    runner.run()

    def check(self, name: str) -> Check:
        """Return the check called ``name``. Raises LookupError, which lists the existing names."""
        checks = {check.name: check for check in self.checks}
        if not checks:
            raise LookupError(f"There is no check called {name!r}: the application has no checks.")
        if name not in checks:
            raise LookupError(f"There is no check called {name!r}, only {', '.join(sorted(checks))}.")
        return checks[name]

    def results(self) -> list[Result]:
        """Return the current result of each check."""
        self.start()
        return [runner.result()._replace(application=self.application) for runner in self._runners]

    def _renew(self) -> list[Runner]:
        """Forget the results: after a fork, they belong to another process."""
        self._runners = [Runner(check, self._others) for check in self.checks]
        return self._runners


class Runner:
    """Runs a check repeatedly, and keeps its current result.

    A check that hangs keeps its thread, and is not started again. ``others`` returns its status in other workers.
    """

    def __init__(self, check: Check, others: Callable[[str], Status]) -> None:
        self.check = check
        self._others = partial(others, check.name)
        self._result = Result(check.name, critical=check.critical)
        self._successes = 0
        self._started: float | None = None  # monotonic; None while the check is not running
        self._timeouts = 0  # of the current run
        self._lock = threading.RLock()

    def start(self) -> None:
        """Run the check as long as this object is referenced: until the process ends or, in tests, the application."""
        threading.Thread(target=_run, args=(ref(self),), name=f"check-{self.check.name}", daemon=True).start()

    def result(self) -> Result:
        """Return the current result, which includes a late run. Do not wait."""
        with self._lock:
            self._count_timeouts()
            return self._result

    def run(self) -> BaseException | None:
        """Run the check once, and return its exception, None if it passes."""
        with self._lock:
            self._started, self._timeouts = time.monotonic(), 0
            started = self._started
        error = error_of(self.check.probe)
        with self._lock:
            self._count_timeouts()
            self._started = None
            if not self._timeouts:  # otherwise this run has already failed, so ignore its result
                reason = None if error is None else type(error).__name__
                self._take(reason, time.monotonic() - started, error)
        return error

    def _count_timeouts(self) -> None:
        """Count a hanging run as failed at its deadline, and again after each further interval."""
        if self._started is None:
            return
        seconds = time.monotonic() - self._started
        late = seconds - self.check.timeout
        due = 1 + int(late / self.check.interval) if late > 0 else 0
        while self._timeouts < due:
            self._timeouts += 1
            self._take(TIMED_OUT, seconds, None)

    def _take(self, reason: str | None, seconds: float, error: BaseException | None) -> None:
        before = self._result
        failures = before.failures + 1 if reason else 0
        self._successes = 0 if reason else self._successes + 1
        status = before.status
        if status is Status.STARTING:
            # One failure in a new worker must not take the service down if the check passes in other workers.
            status = Status.DOWN if reason and self._others() is not Status.OK else Status.OK
        elif reason and failures >= self.check.failures:
            status = Status.DOWN
        elif self._successes >= self.check.successes:
            status = Status.OK
        self._result = before._replace(
            status=status, seconds=seconds, ended=time.monotonic(), reason=reason, failures=failures
        )
        self._tell(before, error)

    def _tell(self, before: Result, error: BaseException | None) -> None:
        """Log the first failure, the end of failures, and each change of the status."""
        now = self._result
        reason = explain(now.reason, error)
        log = _log.bind(check=now.name, status=now.status, duration_ms=round(now.seconds * 1000, 3))
        if now.status is Status.DOWN and before.status is not Status.DOWN:
            log.error("readiness check is down", reason=reason, failures=now.failures)
        elif now.reason and not before.reason and now.status is not Status.DOWN:
            log.warning("readiness check failed", reason=reason, failures=now.failures)
        elif before.status is Status.DOWN and now.status is Status.OK:
            log.info("readiness check is up again")
        elif before.status is Status.STARTING:
            log.debug("readiness check passed")
        elif before.reason and not now.reason and now.status is Status.OK:
            log.info("readiness check passed again")


def _run(find: ref[Runner]) -> None:
    while (runner := find()) is not None:
        try:
            runner.run()
        except BaseException as error:  # noqa: BLE001 - the check must run again
            _log.error("failed to run readiness check", check=runner.check.name, exc_info=error)
        pause = runner.check.interval * _random.uniform(1 - JITTER, 1 + JITTER)
        del runner  # a sleeping thread must not keep the runner alive
        time.sleep(pause)


def explain(reason: str | None, error: BaseException | None) -> str | None:
    """Return the reason for the log, with details that clients do not get."""
    try:
        text = "" if error is None else str(error)
    except BaseException as unspeakable:  # noqa: BLE001 - the check's own code may raise anything
        text = f"no text, str() raised {type(unspeakable).__name__}"
    return f"{reason}: {text}" if text else reason


def error_of(probe: Callable[[], object]) -> BaseException | None:
    """Run ``probe`` and return its exception, None if it passes."""
    try:
        answer = probe()
        if isawaitable(answer):
            if iscoroutine(answer):
                answer.close()  # otherwise Python also warns when it collects the coroutine
            raise TypeError("the check returned an awaitable, but must be a plain function")
    except BaseException as error:  # noqa: BLE001 - any exception, even SystemExit, takes the check down
        return error
    return None

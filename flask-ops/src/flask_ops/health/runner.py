"""One readiness check and its thread."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import isawaitable, iscoroutine
from weakref import ref

import structlog

from flask_ops.health import Check, Result, Status

JITTER = 0.1
"""Random variation of an interval, as a share of it, so that the workers do not query a dependency all at once."""
TIMED_OUT = "timed out"
OVERDUE = "overdue"
OVERDUE_SECONDS = 10.0
"""A result expires this long after two intervals and the timeout of its check."""

_random = random.SystemRandom()  # differs between forked workers, and leaves the application's random numbers alone
_log = structlog.stdlib.get_logger(__name__)


class Runner:
    """Runs a check repeatedly, and keeps its current result.

    A check that hangs keeps its thread, and is not started again. ``others`` returns its status in other workers.
    """

    def __init__(self, check: Check, others: Callable[[str], Status]) -> None:
        self.check = check
        self._others = partial(others, check.name)
        self.reset()

    def reset(self) -> None:
        """Forget the results: after a fork, they belong to another process."""
        self._result = Result(self.check.name, critical=self.check.critical)
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
            self._doubt()
            return self._result

    def run(self) -> None:
        """Run the check once."""
        with self._lock:
            self._started, self._timeouts = time.monotonic(), 0
            started = self._started
        error = _error_of(self.check.probe)
        with self._lock:
            self._count_timeouts()
            self._started = None
            if not self._timeouts:  # otherwise this run has already failed, so ignore its result
                self._take(_reason(error), time.monotonic() - started, error)

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

    def fail(self, error: BaseException) -> None:
        """Record a run that failed in this module, and not in the check."""
        with self._lock:
            self._started, self._successes = None, 0
            failures = self._result.failures + 1
            now = time.monotonic()
            self._result = replace(
                self._result, status=Status.DOWN, ended=now, reason=type(error).__name__, failures=failures
            )

    def _doubt(self) -> None:
        """Count an expired result as down: the check no longer runs, so its state is unknown."""
        known, check = self._result, self.check
        if self._started is not None or not known.ended or known.reason == OVERDUE:
            return
        if known.age > 2 * check.interval + check.timeout + OVERDUE_SECONDS:
            self._successes = 0
            self._result = replace(known, status=Status.DOWN, reason=OVERDUE, failures=known.failures + 1)
            self._tell(known, None)

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
        self._result = replace(
            before, status=status, seconds=seconds, ended=time.monotonic(), reason=reason, failures=failures
        )
        self._tell(before, error)

    def _tell(self, before: Result, error: BaseException | None) -> None:
        """Log the first failure, the end of failures, and each change of the status."""
        now = self._result
        log = _log.bind(check=now.name, status=now.status, duration_ms=round(now.seconds * 1000, 3))
        if now.status is Status.DOWN and before.status is not Status.DOWN:
            log.error("readiness check is down", reason=_explain(now, error), failures=now.failures)
        elif now.reason and not before.reason and now.status is not Status.DOWN:
            log.warning("readiness check failed", reason=_explain(now, error), failures=now.failures)
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
        except BaseException as error:  # noqa: BLE001 - otherwise the check would never run again, and "ok" would stay
            runner.fail(error)
            _log.error("failed to run readiness check", check=runner.check.name, exc_info=error)
        pause = runner.check.interval * _random.uniform(1 - JITTER, 1 + JITTER)
        del runner  # a sleeping thread must not keep the runner alive
        time.sleep(pause)


def _error_of(probe: Callable[[], object]) -> BaseException | None:
    try:
        answer = probe()
        if isawaitable(answer):
            if iscoroutine(answer):
                answer.close()  # otherwise Python also warns when it collects the coroutine
            raise TypeError("the check returned an awaitable, but must be a plain function")
    except BaseException as error:  # noqa: BLE001 - any exception, even SystemExit, takes the check down
        return error
    return None


def _reason(error: BaseException | None) -> str | None:
    return type(error).__name__ if error is not None else None


def _explain(result: Result, error: BaseException | None) -> str | None:
    """Return the reason for the log, with details that clients do not get."""
    try:
        text = "" if error is None else str(error)
    except BaseException as unspeakable:  # noqa: BLE001 - the check's own code may raise anything
        text = f"no text, str() raised {type(unspeakable).__name__}"
    return f"{result.reason}: {text}" if text else result.reason

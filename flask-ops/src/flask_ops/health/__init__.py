"""What a readiness check is, and what is known of one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, TypeVar

import structlog

Probe = TypeVar("Probe", bound=Callable[[], object])
_log = structlog.stdlib.get_logger(__name__)


class Status(StrEnum):
    """What a check, or all of them together, say."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    DRAINING = "draining"

    @property
    def is_ready(self) -> bool:
        """True where requests are welcome."""
        return self in {Status.OK, Status.DEGRADED}


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency that the service needs to answer.

    ``probe`` returns where it is well and raises where it is not. One that takes longer than
    ``timeout`` (seconds) counts as failed. It runs again about ``interval`` (seconds) after it
    ended, one run at a time. The first result counts at once; later it takes ``failures`` in a row
    to go down and ``successes`` in a row to come up. Where a check that is not ``critical`` is
    down, the service is degraded and stays ready.

    Raises ValueError or TypeError for what would never run, or never fail.
    """

    name: str
    probe: Callable[[], object]
    timeout: float = 1.0
    interval: float = 5.0
    critical: bool = True
    failures: int = 3
    successes: int = 2

    def __post_init__(self) -> None:
        which = f"check {self.name!r}"
        if not self.name or "," in self.name:
            raise ValueError(f"{which}: a name has at least one character, and none of them is a comma")
        if any(is_other(self.probe) for is_other in (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)):
            raise TypeError(
                f"{which}: it must be a plain function; a call of an async def or of a generator runs nothing"
            )
        for seconds in (self.timeout, self.interval):
            if not (seconds > 0 and math.isfinite(seconds)):
                raise ValueError(f"{which}: timeout and interval are seconds, more than 0 and finite")
        for times in (self.failures, self.successes):
            if times < 1 or times % 1:
                raise ValueError(f"{which}: failures and successes are whole numbers, more than 0")


class Checks:
    """The checks of an application, declared as views are.

    ``checks = Checks()``, then ``@checks.add(timeout=1.0)`` before a function, whose name is the check's.
    """

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self._are_taken = False

    def __iter__(self) -> Iterator[Check]:
        self._are_taken = True
        return iter(self._checks)

    def add(self, name: str | None = None, **options: Any) -> Callable[[Probe], Probe]:
        """Register the decorated function; ``options`` are the fields of ``Check``.

        Raises what ``Check`` does, and TypeError where the parentheses are forgotten.
        """
        if callable(name):
            raise TypeError(f"check {getattr(name, '__name__', name)!r}: write @CHECKS.add(), with parentheses")

        def register(probe: Probe) -> Probe:
            check = Check(probe.__name__ if name is None else name, probe, **options)
            self._checks.append(check)
            if self._are_taken:
                _log.warning("readiness check added too late", check=check.name, hint="add it before create_app()")
            return probe

        return register


def within(context: Callable[[], AbstractContextManager[object]], checks: Iterable[Check]) -> list[Check]:
    """Return the checks as they run in a context of their own each time: in Flask's, ``current_app`` is there."""

    def run(probe: Callable[[], object]) -> object:
        with context():
            return probe()

    return [replace(check, probe=partial(run, check.probe)) for check in checks]


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one check.

    ``seconds`` is how long it took last, or has been hanging; ``ended`` when that was, on the clock of
    ``time.monotonic()``, which all processes of a machine share. ``reason`` says why it failed last,
    which need not have taken it down: the type of an error, or ``timed out``. ``application`` numbers the applications
    of a process.
    """

    name: str
    status: Status = Status.STARTING
    critical: bool = True
    seconds: float = 0.0
    ended: float = 0.0
    reason: str | None = None
    failures: int = 0
    application: int = 0

    @property
    def key(self) -> tuple[int, str]:
        """Which check this is: two applications may have checks of the same name."""
        return self.application, self.name

    @property
    def age(self) -> float:
        """How many seconds ago this became known."""
        return max(time.monotonic() - self.ended, 0.0)

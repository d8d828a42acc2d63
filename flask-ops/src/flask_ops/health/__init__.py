"""Readiness checks and their results."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, NamedTuple, TypeVar

import structlog

Probe = TypeVar("Probe", bound=Callable[[], object])
_log = structlog.stdlib.get_logger(__name__)


class Status(StrEnum):
    """The status of one check, or of all together."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    DRAINING = "draining"

    @property
    def is_ready(self) -> bool:
        """True if the service accepts requests."""
        return self in {Status.OK, Status.DEGRADED}


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency that the service needs to answer.

    ``probe`` raises an exception if the dependency fails. A run that takes longer than ``timeout`` (seconds) counts as
    failed. The next run starts about ``interval`` (seconds) after the end of the last one. The first result counts at
    once. After that, ``failures`` in a row take the check down, and ``successes`` in a row bring it up. If a check
    that is not ``critical`` is down, the service is degraded and stays ready.

    Raises ValueError or TypeError for a check that would never run, or never fail.
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
            raise ValueError(f"{which}: a name must have at least one character, and no comma")
        if any(is_other(self.probe) for is_other in (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)):
            raise TypeError(f"{which}: it must be a plain function; calling an async def or a generator runs nothing")
        if not all(seconds > 0 and math.isfinite(seconds) for seconds in (self.timeout, self.interval)):
            raise ValueError(f"{which}: timeout and interval must be finite seconds above 0")
        if any(times < 1 or times % 1 for times in (self.failures, self.successes)):
            raise ValueError(f"{which}: failures and successes must be whole numbers above 0")


class Checks:
    """The checks of an application, declared like views.

    ``checks = Checks()``, then ``@checks.add(timeout=1.0)`` before a function. Its name is the name of the check.
    """

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self._are_taken = False

    def __iter__(self) -> Iterator[Check]:
        self._are_taken = True
        return iter(self._checks)

    def add(self, name: str | None = None, **options: Any) -> Callable[[Probe], Probe]:
        """Register the decorated function; ``options`` are the fields of ``Check``.

        Raises the errors of ``Check``, and TypeError if the parentheses are missing.
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
    """Return checks that enter a new ``context`` for each run. Flask's context provides ``current_app``."""

    def run(probe: Callable[[], object]) -> object:
        with context():
            return probe()

    return [replace(check, probe=partial(run, check.probe)) for check in checks]


class Result(NamedTuple):
    """The current result of one check.

    ``seconds`` is the duration of the last run, or of the hanging one. ``ended`` is the time of the result, on the
    clock of ``time.monotonic()``, which all processes of a machine share. ``reason`` is the cause of the last failure:
    the type of an error, or ``timed out``. That failure need not have taken the check down. ``application`` numbers
    the applications of a process.
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
        """The identity of the check: two applications may have checks of the same name."""
        return self.application, self.name

    @property
    def age(self) -> float:
        """The age of this result in seconds."""
        return max(time.monotonic() - self.ended, 0.0)

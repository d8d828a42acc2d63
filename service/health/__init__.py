"""What a readiness check is, and what is known of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

Probe = TypeVar("Probe", bound=Callable[[], object])


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
    """

    name: str
    probe: Callable[[], object]
    timeout: float = 1.0
    interval: float = 5.0
    critical: bool = True
    failures: int = 3
    successes: int = 2

    def __post_init__(self) -> None:
        if not (self.timeout > 0 < self.interval and self.failures > 0 < self.successes):
            raise ValueError(f"check {self.name!r}: timeout, interval, failures and successes must be more than 0")


class Checks:
    """The checks of an application, declared as views are.

    ``checks = Checks()``, then ``@checks.add(timeout=1.0)`` before a function, whose name is the check's.
    """

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def add(self, name: str | None = None, **options: Any) -> Callable[[Probe], Probe]:
        """Register the decorated function; ``options`` are the fields of ``Check``."""

        def register(probe: Probe) -> Probe:
            self._checks.append(Check(name or probe.__name__, probe, **options))
            return probe

        return register


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one check.

    ``seconds`` is how long it took last, or has been hanging; ``ended`` when that was, on the clock of
    ``time.monotonic()``, which all processes of a machine share. ``reason`` says why it failed last,
    which need not have taken it down: the type of an error, or ``timed out``.
    """

    name: str
    status: Status = Status.STARTING
    critical: bool = True
    seconds: float = 0.0
    ended: float = 0.0
    reason: str | None = None
    failures: int = 0

    @property
    def age(self) -> float:
        """How many seconds ago this became known."""
        return max(time.monotonic() - self.ended, 0.0)

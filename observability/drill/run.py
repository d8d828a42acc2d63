"""One run of a fault, from its injection to its recovery, and the outcome."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from observability.drill.faults import Fault
from observability.drill.load import users, warm_up
from observability.drill.shipped import shipped
from observability.drill.stack import Stack
from observability.programs import wait, wait_until

WARM_UP_SECONDS = 5.0
QUIET_SECONDS = 6.0
"""How long a fault continues after all expected alerts, so that unexpected alerts can arrive too."""
RESOLVED_SECONDS = 120.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault. ``detected`` is the time until the last expected alert in seconds, or None."""

    fault: Fault
    arrived: frozenset[str]
    detected: float | None
    resolved: bool
    astray: frozenset[str] = frozenset()
    """Alerts about the healthy neighbour, or at a receiver of another team."""

    @property
    def missing(self) -> frozenset[str]:
        """The alerts that should have arrived."""
        return self.fault.expected - self.arrived

    @property
    def wrong(self) -> frozenset[str]:
        """The alerts that should not have arrived."""
        return (shipped(self.arrived) - self.fault.expected - self.fault.allowed.keys()) | self.astray

    @property
    def own(self) -> frozenset[str]:
        """The alerts that arrived and are your own. The drill does not know if they should arrive."""
        return self.arrived - shipped(self.arrived)

    @property
    def passed(self) -> bool:
        """Whether the right alerts arrived and were resolved, and no others."""
        return not self.missing and not self.wrong and self.resolved


def run(fault: Fault) -> Outcome:
    """Inject a fault into a service of a new stack, with both services under load, and return the outcome."""
    with Stack(dict(fault.env)) as stack, users(stack.service.port), users(stack.neighbour.port):
        job = stack.service.job
        warm_up(stack.service.port, WARM_UP_SECONDS)
        began = time.monotonic()
        with fault.inject(stack):
            _wait(lambda: fault.expected <= stack.webhook.arrived(job).keys(), fault.deadline)
            wait(QUIET_SECONDS)
        _wait(lambda: fault.expected <= stack.webhook.resolved(job), RESOLVED_SECONDS)
        arrived = stack.webhook.arrived(job)
        times = [arrived[name] - began for name in fault.expected & arrived.keys()]
        return Outcome(
            fault,
            frozenset(arrived),
            max(times, default=None),
            fault.expected <= stack.webhook.resolved(job),
            frozenset(stack.astray()),
        )


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):  # the outcome reports it
        wait_until(condition, "the alerts", seconds)

"""One run of each readiness check, in the process of a trial load."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Thread

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.health import Check
from flask_ops.health.engine import TIMED_OUT, error_of, explain

LONGEST_SECONDS = 15.0
"""Maximum wait for a check, whatever its timeout is. The trial has a limit, too."""


def look(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run all checks at the same time, each in its own thread, and yield a finding for each."""
    errors: dict[Check, BaseException | None] = {}

    def run(check: Check) -> None:
        errors[check] = error_of(check.probe)

    begin = time.monotonic()
    threads = {check: Thread(target=run, args=(check,), daemon=True) for check in checks}
    for thread in threads.values():
        thread.start()
    for check, thread in threads.items():
        thread.join(max(0.0, begin + min(check.timeout, LONGEST_SECONDS) - time.monotonic()))
        yield _finding(check, errors[check] if check in errors else TimeoutError(TIMED_OUT))
    if not threads:
        yield note("checks", "The application has no readiness checks.")


def _finding(check: Check, fault: BaseException | None) -> Finding:
    if fault is None:
        return ok("checks", f"{check.name} passes.")
    text = f"{check.name} fails: {explain(type(fault).__name__, fault)}."
    if not check.critical:
        return warning("checks", text, "The service would be ready, but degraded.")
    return error(
        "checks", text, "Correct its setting, or make its dependency available: the service would not be ready."
    )

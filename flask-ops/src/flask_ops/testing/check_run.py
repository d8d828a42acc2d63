"""One run of a readiness check, without a background thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flask_ops.health.engine import Health


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one run of a check.

    ``status`` is ``ok`` or ``down``. ``reason`` is None, the type of the exception, or ``timed out``. ``error`` is the
    exception, None if there was none. ``seconds`` is how long the run took.
    """

    name: str
    status: str
    critical: bool
    seconds: float
    reason: str | None
    error: BaseException | None


class RunCheck:
    """Runs one readiness check of the application: ``run_check("database")``."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def __call__(self, name: str) -> CheckResult:
        """Run the check called ``name`` once, in this thread, and return its result as a new worker would see it.

        An exception of the check is not raised: it is in the result. A run that takes longer than the check's timeout
        is ``down`` when it ends. Raises LookupError, which names the checks that exist, for any other name.
        """
        __tracebackhide__ = True
        check = self._health.check(name)
        errors: list[BaseException] = []
        health = Health([replace(check, probe=_noting(check.probe, errors))])
        health.run_in_foreground()
        [result] = health.results()
        return CheckResult(
            name, str(result.status), result.critical, result.seconds, result.reason, errors[0] if errors else None
        )


def _noting(probe: Callable[[], object], errors: list[BaseException]) -> Callable[[], object]:
    def run() -> object:
        try:
            return probe()
        except BaseException as error:
            errors.append(error)
            raise

    return run

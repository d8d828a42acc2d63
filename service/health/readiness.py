"""The readiness of a service: of all its workers, as they publish it in the store, or of its one process.

Whoever answers a probe gives the same answer, so that it does not change with the worker that was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from service.draining import DRAIN
from service.health import Result, Status

_NAME = "readiness_{}.json"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What all workers together say; ``checks`` by name."""

    status: Status
    checks: dict[str, Result]


def combine(processes: Iterable[Sequence[Result]], *, exclude: Collection[str] = ()) -> Readiness:
    """Return the readiness that follows from the results of each process.

    A check is down where one process says so. A worker that has no result yet takes nothing from those
    that have one.
    """
    checks: dict[str, Result] = {}
    several = list(processes)
    for result in (result for results in several for result in results):
        known = checks.get(result.name)
        if known is None or _weight(result) > _weight(known):
            checks[result.name] = result
    if DRAIN:
        return Readiness(Status.DRAINING, checks)
    if not several:
        return Readiness(Status.STARTING, checks)
    counted = [result for result in checks.values() if result.name not in exclude]
    critical = {result.status for result in counted if result.critical}
    for status in (Status.DOWN, Status.STARTING):
        if status in critical:
            return Readiness(status, checks)
    fails = any(result.status is Status.DOWN for result in counted)
    return Readiness(Status.DEGRADED if fails else Status.OK, checks)


def _weight(result: Result) -> tuple[int, int, float]:
    return [Status.STARTING, Status.OK, Status.DOWN].index(result.status), result.failures, result.seconds


def publish(store: Path, owner: str, results: Sequence[Result]) -> None:
    """Let the others know what this process, which is called ``owner`` in the store, has found."""
    path = store / _NAME.format(owner)
    new = path.with_suffix(".new")
    new.write_bytes(orjson.dumps([asdict(result) for result in results]))
    new.replace(path)


def published(store: Path, leaving: Collection[str] = ()) -> list[list[Result]]:
    """Return what each process has published that lives and is not ``leaving``."""
    found = []
    names = {_NAME.format(owner) for owner in leaving}
    for path in store.glob(_NAME.format("*")):
        if path.name in names:
            continue
        try:
            fields = orjson.loads(path.read_bytes())
            found.append([Result(**{**item, "status": Status(item["status"])}) for item in fields])
        except (FileNotFoundError, KeyError, TypeError, ValueError):  # its process has just ended, or it is not ours
            continue
    return found


def of_workers(store: Path, exclude: Collection[str] = (), leaving: Collection[str] = ()) -> Readiness:
    """Return what all processes say that have published something in ``store`` and are not ``leaving``."""
    return combine(published(store, leaving), exclude=exclude)

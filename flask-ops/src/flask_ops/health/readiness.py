"""The readiness of a service: of all workers, which publish their results in the store, or of its one process.

The answer of a probe does not depend on the worker that answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN
from flask_ops.health import Result, Status

REMEMBERED_SECONDS = 60.0
"""Maximum age of a predecessor's check results, in seconds. They count until its successors have results."""

_NAME = "readiness_{}.json"
_LAST = _NAME.format("last")


class Readiness(NamedTuple):
    """The readiness of all workers. ``checks`` are by name, the worst of those with the same name."""

    status: Status
    checks: dict[str, Result]


def combine(processes: Iterable[Sequence[Result]], *, exclude: Collection[str] = ()) -> Readiness:
    """Return the readiness that follows from the results of each process.

    A check is down if it is down in any process. A worker without a result yet does not change the results of others.
    """
    several = list(processes)
    found: dict[tuple[int, str], Result] = {}
    for results in several:
        for result in results:
            found[result.key] = max(found.get(result.key, result), result, key=_weight)
    checks: dict[str, Result] = {}
    for result in found.values():
        checks[result.name] = max(checks.get(result.name, result), result, key=_weight)
    if DRAIN or not several:
        return Readiness(Status.DRAINING if DRAIN else Status.STARTING, checks)
    counted = [result for result in found.values() if result.name not in exclude]
    critical = {result.status for result in counted if result.critical}
    for status in (Status.DOWN, Status.STARTING):
        if status in critical:
            return Readiness(status, checks)
    fails = any(result.status is Status.DOWN for result in counted)
    return Readiness(Status.DEGRADED if fails else Status.OK, checks)


def _weight(result: Result) -> tuple[int, int, float]:
    return [Status.STARTING, Status.OK, Status.DOWN].index(result.status), result.failures, result.seconds


def publish(store: Path, owner: str, results: Sequence[Result]) -> None:
    """Publish the results of this process, which is called ``owner`` in the store."""
    content = orjson.dumps([result._asdict() for result in results])
    multiprocess.publish(store / _NAME.format(owner), content)


def published(store: Path, leaving: Collection[str] = (), application: int | None = None) -> list[list[Result]]:
    """Return the results of each live process that is not ``leaving``: of one ``application``, or of all."""
    passed_over = {_LAST, *map(_NAME.format, leaving)}
    paths = [path for path in store.glob(_NAME.format("*")) if path.name not in passed_over]
    processes = [results for path in paths if (results := _read(path)) is not None]
    if application is None:
        return processes
    return [[result for result in results if result.application == application] for results in processes]


def remember(store: Path, owner: str) -> None:
    """Keep the results of a process that has just ended. After SIGHUP it may be the last one with results."""
    path = store / _NAME.format(owner)
    results = _read(path)
    if results and not any(result.status is Status.STARTING for result in results):
        with suppress(FileNotFoundError):
            path.replace(store / _LAST)


def _read(path: Path) -> list[Result] | None:
    try:
        fields = orjson.loads(path.read_bytes())
        return [Result(**{**item, "status": Status(item["status"])}) for item in fields]
    except (FileNotFoundError, KeyError, TypeError, ValueError):  # its process has just ended, or the file is not ours
        return None


def of_workers(
    store: Path, exclude: Collection[str] = (), leaving: Collection[str] = (), application: int | None = None
) -> Readiness:
    """Return the readiness of all processes that published results in ``store`` and are not ``leaving``.

    It covers one ``application``, or all. A check without a result yet takes the result of the predecessors.
    """
    processes = published(store, leaving, application)
    everything = [result for results in processes for result in results]
    known = {result.key for result in everything if result.status is not Status.STARTING}
    if unknown := {result.key: result.critical for result in everything if result.key not in known}:
        before = _predecessors(store, leaving)
        processes.append([before[key]._replace(critical=unknown[key]) for key in unknown if key in before])
    return combine(processes, exclude=exclude)


def _predecessors(store: Path, leaving: Collection[str]) -> dict[tuple[int, str], Result]:
    """Return the last result of each check in processes that are leaving or have just ended."""
    paths = [store / _NAME.format(owner) for owner in leaving]
    paths.append(store / _LAST)  # read last: a file above may be renamed to this one meanwhile
    found = [result for path in paths for result in _read(path) or [] if result.status is not Status.STARTING]
    recent = [result for result in found if result.age < REMEMBERED_SECONDS]
    return {result.key: result for result in sorted(recent, key=lambda result: result.ended)}

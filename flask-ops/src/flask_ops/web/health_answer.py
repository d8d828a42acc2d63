"""The HTTP response of the readiness: a status code for machines, a body for people."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qs

from flask_ops.core.http import Response
from flask_ops.health import Result, Status
from flask_ops.health.readiness import Readiness
from flask_ops.web.answers import json_answer


class UnknownCheckError(ValueError):
    """The client excludes an unknown check. The message names the known ones."""


Find = Callable[[Collection[str]], Readiness]
"""Returns the readiness without the named checks."""


def answer(find: Find, query: str, *, verbose: bool | None = None) -> Response:
    """Return 200 or 503 with the ``status``.

    If ``verbose``, the body has the result of each check. By default, ``verbose`` in the query decides.
    ``exclude=NAME`` in the query, any number of times, ignores a check. Raises UnknownCheckError.
    """
    parameters = parse_qs(query, keep_blank_values=True)
    exclude = [name for value in parameters.get("exclude", []) for name in value.split(",") if name]
    readiness = find(exclude)
    unknown = sorted(set(exclude) - set(readiness.checks))
    if unknown and readiness.checks:
        known = ", ".join(sorted(readiness.checks))
        raise UnknownCheckError(f"There is no check called {', '.join(unknown)}, only {known}.")
    is_verbose = "verbose" in parameters if verbose is None else verbose
    shown = readiness.checks.values() if is_verbose else []
    code = 200 if readiness.status.is_ready else 503
    return json_answer(code, as_json(readiness.status, shown, exclude))


def as_json(status: Status, results: Collection[Result], exclude: Collection[str] = ()) -> dict[str, Any]:
    """Return the body of a response with these results."""
    body: dict[str, Any] = {"status": status}
    if results:
        body["checks"] = {result.name: _detail(result, exclude) for result in results}
    return body


def _detail(result: Result, exclude: Collection[str]) -> dict[str, Any]:
    detail: dict[str, Any] = {"status": result.status, "critical": result.critical}
    if result.name in exclude:
        detail["excluded"] = True
    if result.ended:
        detail["duration_ms"] = round(result.seconds * 1000, 3)
        detail["age_seconds"] = round(result.age, 3)
    if result.reason:
        detail |= {"reason": result.reason, "failures": result.failures}
    return detail

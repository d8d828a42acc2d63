"""The forms that answers of the management listener have."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flask_ops.core import problem
from flask_ops.log.render import render_json
from flask_ops.management.listener import Handler, Request, Response

_NO_STORE = ("Cache-Control", "no-store")


def json_answer(status: int, content: object, content_type: str = "application/json") -> Response:
    """Return ``content`` as JSON, whatever texts are in it: names that a library has given, for one."""
    return Response(status, render_json(content) + b"\n", [("Content-Type", content_type), _NO_STORE])


def problem_answer(status: int, detail: str, *headers: tuple[str, str]) -> Response:
    """Return an error that says what was wrong, and what would be right."""
    fields: Sequence[tuple[str, str]] = [("Content-Type", problem.CONTENT_TYPE), _NO_STORE, *headers]
    return Response(status, problem.body(status, detail), fields)


class SharedAnswer:
    """One answer for all equal requests that waited when ``handler`` began to make it.

    Without it, each of many clients that ask for metrics and then leave would delay the next scrape by one scrape.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._asked: tuple[str | None, ...] = ()
        self._began = 0.0
        self._answer: Response | None = None

    def __call__(self, request: Request) -> Response:
        """Return an answer that was begun after ``request`` had arrived."""
        asked = (request.query, request.headers.get("accept"), request.headers.get("accept-encoding"))
        if self._answer is None or self._asked != asked or self._began < request.received:
            self._asked, self._began = asked, time.monotonic()
            self._answer = self._handler(request)
        return self._answer

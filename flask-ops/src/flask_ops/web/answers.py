"""Answers that do not pass through Flask: JSON and problem documents."""

from __future__ import annotations

from collections.abc import Sequence

from flask_ops.core import problem
from flask_ops.core.http import Response
from flask_ops.log.render import render_json

_NO_STORE = ("Cache-Control", "no-store")


def json_answer(status: int, content: object, content_type: str = "application/json") -> Response:
    """Return ``content`` as JSON, whatever texts are in it: names that a library has given, for one."""
    return Response(status, render_json(content) + b"\n", [("Content-Type", content_type), _NO_STORE])


def problem_answer(status: int, detail: str, *headers: tuple[str, str]) -> Response:
    """Return an error that says what was wrong, and what would be right."""
    fields: Sequence[tuple[str, str]] = [("Content-Type", problem.CONTENT_TYPE), _NO_STORE, *headers]
    return Response(status, problem.body(status, detail), fields)

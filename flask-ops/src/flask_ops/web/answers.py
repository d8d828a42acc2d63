"""Answers that do not pass through Flask: JSON and problem documents."""

from __future__ import annotations

from flask_ops.core import problem
from flask_ops.core.http import Response
from flask_ops.log.render import render_json

_NO_STORE = ("Cache-Control", "no-store")


def json_answer(status: int, content: object) -> Response:
    """Return ``content`` as JSON, even with invalid Unicode, for example in names from a library."""
    return Response(status, render_json(content) + b"\n", [("Content-Type", "application/json"), _NO_STORE])


def problem_answer(status: int, detail: str, *headers: tuple[str, str]) -> Response:
    """Return an error. ``detail`` states the mistake and the correct form."""
    return Response(status, problem.body(status, detail), [("Content-Type", problem.CONTENT_TYPE), _NO_STORE, *headers])

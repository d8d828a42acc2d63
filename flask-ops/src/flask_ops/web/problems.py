"""The application's error responses, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from flask_ops.core import problem
from flask_ops.core.context import current_request

_log = structlog.stdlib.get_logger(__name__)


class ProblemError(HTTPException):
    """An error for a view to raise, with members that ``abort()`` cannot add (RFC 9457, section 3.2).

    ``raise ProblemError(422, "The order is not valid.", errors=[{"field": "count", "is": "less than 1"}])``
    """

    def __init__(self, code: int, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.code = code
        self.members = members


def init_app(app: Flask) -> None:
    """Answer every error of ``app`` as problem+json, and log the exception behind a 500 once."""
    app.register_error_handler(HTTPException, _handle)
    app.log_exception = _log_exception  # type: ignore[method-assign] # Flask's own line has the path in its event


def _log_exception(exc_info: Any) -> None:
    _log.error("unhandled exception", exc_info=exc_info)


def response(status: int, request_id: str, detail: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status line, headers and body of an error that Flask does not make."""
    body = problem.body(status, detail or problem.DETAILS.get(status), request_id)
    headers = [("Content-Type", problem.CONTENT_TYPE), ("Content-Length", str(len(body)))]
    return f"{status} {HTTPStatus(status).phrase}", headers, body


def _handle(error: HTTPException) -> Response | HTTPException:
    if error.response is not None or error.code is None or error.code < 400:
        return error  # abort(response) or a raised redirect, which are complete responses
    request = current_request.get()
    detail = problem.INTERNAL if isinstance(error, InternalServerError) else error.description
    members = error.members if isinstance(error, ProblemError) else None
    body = problem.body(error.code, detail, request.request_id if request else None, members)
    headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
    return Response(body, error.code, headers, content_type=problem.CONTENT_TYPE)

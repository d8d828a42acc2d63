"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from service.context import current_request

CONTENT_TYPE = "application/problem+json"
_INTERNAL = "The server met an unexpected condition. The request id finds it in the log."


def init_app(app: Flask) -> None:
    """Answer every HTTP error of ``app`` as problem+json."""
    app.register_error_handler(HTTPException, _handle)


def internal_server_error(request_id: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status line, headers and body of a 500 for where Flask can no longer make one."""
    body = _body(500, _INTERNAL, request_id)
    headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    return "500 Internal Server Error", headers, body


def _handle(error: HTTPException) -> Response | HTTPException:
    if error.response is not None or error.code is None or error.code < 400:
        return error  # abort(response), or a redirect that was raised: answers of their own
    request = current_request.get()
    # What a 500 was caused by is for the log, not for the client.
    detail = _INTERNAL if isinstance(error, InternalServerError) else error.description
    body = _body(error.code, detail, request.request_id if request else None)
    headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
    return Response(body, error.code, headers, content_type=CONTENT_TYPE)


def _body(status: int, detail: object, request_id: str | None) -> bytes:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:  # not a registered code
        title = "Error"
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        # Whatever a view gives to abort(), an exception for example, or text of the client's.
        problem["detail"] = str(detail).encode("utf-8", "backslashreplace").decode()
    if request_id:
        problem["request_id"] = request_id
    return orjson.dumps(problem) + b"\n"

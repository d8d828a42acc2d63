"""The body of an error response in the form of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

CONTENT_TYPE = "application/problem+json"
INTERNAL = "The server met an unexpected condition, which its log describes."
"""The detail of a 500. The cause belongs in the log, not in the response."""
DETAILS = {500: INTERNAL, 503: "The service is overloaded: the request has waited too long. Try again later."}
"""The details of errors that are answered outside the application."""


def body(
    status: int, detail: object = None, request_id: str | None = None, members: Mapping[str, Any] | None = None
) -> bytes:
    """Return the body, one line of JSON, with more ``members`` (RFC 9457, section 3.2)."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:  # not a registered code
        title = "Error"
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, **(members or {})}
    if detail:
        # A view may pass any object to abort(), such as an exception, or text from the client.
        problem["detail"] = str(detail).encode("utf-8", "backslashreplace").decode()
    if request_id:
        problem["request_id"] = request_id
    if members:  # they may hold invalid Unicode from the client, which orjson refuses
        return json.dumps(problem, default=str).encode() + b"\n"
    return orjson.dumps(problem) + b"\n"

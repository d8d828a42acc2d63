"""One error in the form of RFC 9457, for whoever answers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

CONTENT_TYPE = "application/problem+json"
INTERNAL = "The server met an unexpected condition, which its log describes."
"""The detail of a 500: what caused it is for the log, not for the client."""


def body(
    status: int, detail: object = None, request_id: str | None = None, members: Mapping[str, Any] | None = None
) -> bytes:
    """Return the body, one line of JSON; ``members`` are more of it (RFC 9457, section 3.2)."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:  # not a registered code
        title = "Error"
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, **(members or {})}
    if detail:
        # Whatever a view gives to abort(), an exception for example, or text of the client's.
        problem["detail"] = str(detail).encode("utf-8", "backslashreplace").decode()
    if request_id:
        problem["request_id"] = request_id
    if members:  # what a client has sent may be among them, which is not always valid Unicode
        return json.dumps(problem, default=str).encode() + b"\n"
    return orjson.dumps(problem) + b"\n"

"""The answer in place of a response that failed before its first byte.

Without it, such an answer would lack the headers that ``after_request`` adds to every other one, for example those of
CORS. Or it would describe the body that it replaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Headers that describe a body (RFC 9110, section 8; RFC 9530), and the request ID, which every response gets.
_REPLACED = re.compile(
    r"content-(?!security-policy).*|accept-ranges|cache-control|digest|etag|expires|last-modified|repr-digest"
    r"|transfer-encoding|x-request-id",
    re.IGNORECASE,
)


def kept(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those headers of the failed response that its replacement has too."""
    return [(name, value) for name, value in headers if not _REPLACED.fullmatch(name)]


def forget_headers(start_response: Any) -> None:
    """Remove the headers of an earlier call. PEP 3333 requires servers to replace them. Gunicorn appends to them."""
    so_far = getattr(getattr(start_response, "__self__", None), "headers", None)
    if isinstance(so_far, list):
        so_far.clear()

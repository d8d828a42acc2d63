"""A request and a response for answers that do not pass through Flask."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request.

    ``path`` is percent-decoded, ``query`` is not. Header names are in lower case. A comma joins the values of a
    repeated header. ``received`` is the time of the monotonic clock, in seconds.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    received: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request. The sender adds Content-Length, Connection and Date."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


Handler = Callable[[Request], Response]

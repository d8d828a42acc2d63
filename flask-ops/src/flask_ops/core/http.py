"""A request and a response without a framework: for answers that do not pass through Flask."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has arrived as a whole.

    ``path`` is percent-decoded, ``query`` is not. Names of headers are in lower case; the values of a repeated
    header are joined by a comma. ``received`` is the time of the monotonic clock, in seconds.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    received: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request; what frames it (Content-Length, Connection, Date) is added when it is sent."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


Handler = Callable[[Request], Response]

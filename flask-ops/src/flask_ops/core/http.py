"""A request and a response for answers that do not pass through Flask."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

_FIELD = re.compile(r"[A-Za-z0-9-]+: [^\x00-\x08\x0a-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request.

    ``path`` is percent-decoded, ``query`` is not. Header names are in lower case. A comma joins the values of a
    repeated header. ``client`` is the client's IP address or, on a Unix socket, its user. ``received`` is the time of
    the monotonic clock, in seconds.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str = ""
    received: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request. The sender adds Content-Length, Connection and Date.

    Raises ValueError for an unknown status, or a header that is not one line.
    """

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        """Check what would break the form of the answer."""
        HTTPStatus(self.status)
        for name, value in self.headers:
            if not _FIELD.fullmatch(f"{name}: {value}"):
                raise ValueError(f"invalid header: {name!r}: {value!r}")


class Shared(NamedTuple):
    """A promise of an answer that takes long to make. All requests that wait for an equal ``key`` get the same one.

    Clients can invent any number of keys if they are ``unbounded``. Such an answer is made when no other one is waited
    for.
    """

    key: Hashable
    make: Callable[[], Response]
    unbounded: bool = False


Handler = Callable[[Request], Response | Shared]

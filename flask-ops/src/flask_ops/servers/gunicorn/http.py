"""Gunicorn's requests and responses with less work. Without them, each request would take longer."""

from __future__ import annotations

import time
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

MAX_JOINED = 64 * 1024
"""Maximum size of a first chunk. To copy a larger one costs more than a system call."""

_http_date = util.http_date
_date = (0, "")


class _Pieces(list[bytes]):
    """Replaces a socket and keeps the sent data."""

    sendall = list.append


class ServiceResponse(wsgi.Response):
    """Sends the head and the first chunk together. This halves the system calls and packets of most responses."""

    def write(self, data: Any) -> None:
        """Send ``data``, part of the body."""
        if self.headers_sent or len(data) > MAX_JOINED:
            super().write(data)
            return
        pieces = _Pieces()
        sock, self.sock = self.sock, pieces  # type: ignore[assignment] # write() uses nothing else of a socket
        try:
            super().write(data)
        finally:
            self.sock = sock
            sock.sendall(b"".join(pieces))


class ServiceRequest(Request):
    """Does not parse the peer's address if Gunicorn trusts no proxy."""

    def _peer_is_trusted_proxy(self) -> bool:
        return bool(self.cfg.forwarded_allow_ips) and super()._peer_is_trusted_proxy()  # type: ignore[misc] # the stub is older


def http_date(timestamp: float | None = None) -> str:
    """Return a time, by default now, as a ``Date`` header in whole seconds (RFC 9110, 5.6.7)."""
    global _date  # noqa: PLW0603 - a cache for all threads
    if timestamp is not None:
        return _http_date(timestamp)
    second = int(time.time())
    date = _date
    if date[0] != second:
        date = _date = (second, _http_date(second))
    return date[1]


def install() -> None:
    """Replace Gunicorn's classes and its ``http_date`` in this process. Gunicorn looks them up at each use."""
    wsgi.Response = ServiceResponse  # type: ignore[misc]  # this replaces a class at run time
    RequestParser.mesg_class = ServiceRequest
    util.http_date = http_date

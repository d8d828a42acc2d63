"""Gunicorn's requests and responses, cheaper by what this service needs none of."""

from __future__ import annotations

import time
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

MAX_JOINED = 64 * 1024
"""Bytes of a first chunk beyond which a copy would cost more than a system call."""

_http_date = util.http_date
_date = (0, "")


class _Pieces(list[bytes]):
    """Stands in for a socket, and keeps what is sent."""

    sendall = list.append


class ServiceResponse(wsgi.Response):
    """Sends the head together with the first chunk: half of the system calls and of the packets of most responses."""

    def write(self, data: Any) -> None:
        """Send ``data``, part of the body."""
        if self.headers_sent or len(data) > MAX_JOINED:
            super().write(data)
            return
        pieces = _Pieces()
        sock, self.sock = self.sock, pieces  # type: ignore[assignment] # of a socket, no more is used here
        try:
            super().write(data)
        finally:
            self.sock = sock
            sock.sendall(b"".join(pieces))


class ServiceRequest(Request):
    """Reads no address of a peer where Gunicorn is told to believe none."""

    def _peer_is_trusted_proxy(self) -> bool:
        return bool(self.cfg.forwarded_allow_ips) and super()._peer_is_trusted_proxy()  # type: ignore[misc] # the stub is older


def http_date(timestamp: float | None = None) -> str:
    """Return a time, or that of now, as the header ``Date`` has it: in whole seconds (RFC 9110, 5.6.7)."""
    global _date  # noqa: PLW0603 - one clock
    if timestamp is not None:
        return _http_date(timestamp)
    second = int(time.time())
    date = _date
    if date[0] != second:
        date = _date = (second, _http_date(second))
    return date[1]


def install() -> None:
    """Have Gunicorn use what is here, in this process: it looks these up in its modules at each use."""
    wsgi.Response = ServiceResponse  # type: ignore[misc]  # a class is replaced at run time
    RequestParser.mesg_class = ServiceRequest
    util.http_date = http_date

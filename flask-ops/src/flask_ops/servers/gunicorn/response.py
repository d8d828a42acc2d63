"""Responses under Gunicorn, sent with half the system calls and a third of the work."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, cast

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.message import TOKEN_RE

from flask_ops.core.draining import DRAIN

MAX_JOINED = 64 * 1024
"""Maximum size of a first chunk. To copy a larger one costs more than a system call."""
_KNOWN = 512
"""Maximum number of statuses and of names of headers that are kept."""

_date_of = lru_cache(maxsize=1)(util.http_date)


class _Pieces(list[bytes]):
    """Replaces a socket and keeps the sent data."""

    sendall = list.append


class ServiceResponse(wsgi.Response):
    """Sends the head and the first chunk together. This halves the system calls and packets of most responses."""

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Take the status and the headers of the application. Raises Gunicorn's exceptions for invalid ones.

        During a drain, the response asks the client to close the connection.
        """
        if DRAIN:
            self.force_close()
        code = _code(status) if type(status) is str and exc_info is None and self.status is None else None
        if code is None or code < 200 or code in (204, 304) or self.req.method == "HEAD":
            return super().start_response(status, headers, exc_info)
        self.status, self.status_code = status, code
        self.process_headers(headers)
        self.chunked = self.response_length is None and self.is_chunked()
        return self.write

    def process_headers(self, headers: Any) -> None:
        """Take the headers of the application. Raises Gunicorn's exceptions for invalid ones."""
        for name, value in headers:
            if type(name) is type(value) is str and _is_usual(name) and wsgi.HEADER_VALUE_RE.fullmatch(value):
                cast(list[tuple[str, str]], self.headers).append((name, value.strip(" \t")))
            else:
                super().process_headers([(name, value)])

    def send_headers(self) -> None:
        """Send the head, unless it is sent."""
        if not self.headers_sent:
            self.sock.sendall(self._head())
            self.headers_sent = True

    def write(self, data: Any) -> None:
        """Send ``data``, part of the body."""
        if self.headers_sent or len(data) > MAX_JOINED:
            super().write(data)
            return
        is_whole = len(data) == self.response_length and type(data) is bytes
        if is_whole and not self._omits_body:  # type: ignore[attr-defined] # the stub is older
            self.headers_sent, self.sent = True, len(data)
            self.sock.sendall(self._head() + data)
            return
        pieces = _Pieces()
        sock, self.sock = self.sock, pieces  # type: ignore[assignment] # write() uses nothing else of a socket
        try:
            super().write(data)
        finally:
            self.sock = sock
            sock.sendall(b"".join(pieces))

    def _head(self) -> bytes:
        fields = [f"{name}: {value}\r\n" for name, value in self.headers]
        return "".join([*self.default_headers(), *fields, "\r\n"]).encode("latin-1")


@lru_cache(_KNOWN)
def _code(status: str) -> int | None:
    return int(status[:3]) if wsgi.STATUS_RE.fullmatch(status) else None  # type: ignore[attr-defined] # the stub is older


@lru_cache(_KNOWN)
def _is_usual(name: str) -> bool:
    is_special = name.lower() == "content-length" or util.is_hoppish(name)
    return not is_special and TOKEN_RE.fullmatch(name) is not None


def http_date(timestamp: float | None = None) -> str:
    """Return a time, by default now, as a ``Date`` header in whole seconds (RFC 9110, 5.6.7)."""
    return _date_of(int(time.time()) if timestamp is None else timestamp)

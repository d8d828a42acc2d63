"""The body of a request. An incomplete body never looks complete.

Without this module, an interrupted upload looks complete: Gunicorn returns what has arrived, and the view takes it for
the whole. A malformed chunked body would count as an exception of the application, but the client is to blame.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, ClientDisconnected

from flask_ops.web.queue_time import CONNECTION

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


_CONNECTIONS = (CONNECTION, "gunicorn.socket", "werkzeug.socket")
"""The keys of the client's connection. Waitress has received the whole body before it calls the application."""
_AHEAD_BYTES = 8 * 2**20
"""Maximum memory for data that is read ahead. The kernel buffers 6 MiB by default (tcp(7), tcp_rmem)."""
_PIECE_BYTES = 64 * 1024
MAX_DISCARDED = 64 * 1024
"""Maximum size of a body that is read only to keep the connection, in bytes. Gunicorn uses the same limit."""


class InterruptedBodyError(ClientDisconnected, OSError):
    """The client left before it had sent the whole body. Applications without Werkzeug expect an OSError."""


class MalformedBodyError(BadRequest, ValueError):
    """The framing of a chunked body is invalid (RFC 9112, section 7.1)."""

    description = "The chunked body is malformed."


class RequestBody:
    """Takes the place of ``wsgi.input`` (PEP 3333). With a Content-Length, it never reads beyond the body."""

    is_interrupted = False
    """True once a read has found that the rest of the body will never come."""

    def __init__(self, source: Any, length: int | None) -> None:
        self._source = source
        self._left = length
        """Bytes that are not read yet, None for a chunked body."""

    @classmethod
    def of(cls, environ: WSGIEnvironment) -> RequestBody | None:
        """Put the body into ``environ`` and return it. Return None for a request without one."""
        length = environ.get("CONTENT_LENGTH")
        if "HTTP_TRANSFER_ENCODING" in environ:
            body = cls(environ["wsgi.input"], None)
        elif length and length != "0" and length.isdecimal():
            body = cls(environ["wsgi.input"], int(length))
        else:
            return None
        environ["wsgi.input"] = body
        return body

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, by default all. Raises InterruptedBodyError and MalformedBodyError."""
        if size is not None and size >= 0:
            return self._take(self._source.read, size)
        if self._left is None:
            return self._take(self._source.read, None)
        pieces = []
        while self._left:
            pieces.append(self._take(self._source.read, self._left))
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line, or up to ``size`` bytes of it. Raises as ``read``."""
        return self._take(self._source.readline, size if size is not None and size >= 0 else None)

    def readlines(self, _hint: int = -1) -> list[bytes]:
        """Return the remaining lines. Raises as ``read``."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def look_ahead(self, environ: WSGIEnvironment) -> None:
        """Notice a client that has left in the middle of a body that is not read yet. A slow client is no fault.

        Call this before the response begins: after that, the client may leave. If it has closed its side, all its data
        is here. This reads the data, and keeps it for a later read.
        """
        if self._left == 0 or self.is_interrupted or sys.platform != "linux":
            return
        client = next((environ[name] for name in _CONNECTIONS if name in environ), None)
        if client is None or not _has_closed(client):
            return
        ahead = SpooledTemporaryFile(_AHEAD_BYTES)  # noqa: SIM115 - it lasts as long as the request
        try:
            while piece := self._take(self._source.read, _PIECE_BYTES):
                ahead.write(piece)
            missing = 0
        except (OSError, MalformedBodyError):
            missing = 1  # so a later read fails at the end of the data
        self._left = ahead.tell() + missing
        ahead.seek(0)
        self._source = ahead

    def discard(self, client: Any) -> bool:
        """Drop what has arrived of the body on the socket ``client``. Never wait. Return True if it is complete."""
        timeout = client.gettimeout()
        client.settimeout(0)
        try:
            data = self._source.read(MAX_DISCARDED + 1)
        except Exception:  # noqa: BLE001 - the rest has not arrived, or the client has gone, or the framing is invalid
            return False
        finally:
            client.settimeout(timeout)
        return len(data) <= MAX_DISCARDED and self._left in (None, len(data))

    def _take(self, read: Callable[..., bytes], size: int | None) -> bytes:
        if self._left is not None:
            size = self._left if size is None else min(size, self._left)
        if size == 0:
            return b""
        try:
            data = read() if size is None else read(size)
        except Exception as error:
            # A server raises OSError at the end of the connection. Gunicorn also raises ChunkMissingTerminator, whose
            # ``term`` is what arrived in place of the chunk's CRLF.
            if isinstance(error, OSError) or getattr(error, "term", None) in (b"", b"\r"):
                self.is_interrupted = True
                raise InterruptedBodyError from error
            raise MalformedBodyError from error
        if self._left is not None:
            if not data:
                self.is_interrupted = True
                raise InterruptedBodyError
            self._left -= len(data)
        return data


def _has_closed(client: Any) -> bool:
    """Tell whether the client has closed its side of the connection, so that no more data comes."""
    poll = select.poll()
    try:
        poll.register(client, select.POLLRDHUP)
        return bool(poll.poll(0))
    except (OSError, ValueError):  # a closed socket
        return False

"""Responses of unknown length under uWSGI. If one breaks off, its client gets a reset.

uWSGI ends them by closing the connection. Without this module, a response that failed, or whose worker was killed,
would look complete to the client. A socket that is closed with ``SO_LINGER`` of 0 seconds sends a reset (socket(7)).
"""

from __future__ import annotations

import contextlib
import io
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_RESET, _FINISH = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


def reset_incomplete(app: WSGIApplication, connection: Callable[[], int]) -> WSGIApplication:
    """Wrap ``app`` so that its incomplete responses end with a reset.

    ``connection`` returns the descriptor of the current request's connection.
    """

    def resetting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        has_length = False

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal has_length
            has_length = any(len(name) == 14 and name.lower() == "content-length" for name, _ in headers)
            return start_response(status, headers, *exc_info)

        response = app(environ, start)
        if has_length or isinstance(response, io.IOBase):  # uWSGI sends a file itself
            return response
        return _ResetUnlessComplete(response, connection())

    return resetting


class _ResetUnlessComplete:
    def __init__(self, response: Iterable[bytes], connection: int) -> None:
        self._response, self._chunks, self._connection = response, iter(response), connection
        _at_close(connection, _RESET)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            _at_close(self._connection, _FINISH)
            raise

    def close(self) -> None:
        close = getattr(self._response, "close", None)
        if close is not None:
            close()


def _at_close(connection: int, linger: bytes) -> None:
    """Set what the kernel does when the connection is closed. Unix sockets cannot be reset."""
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=connection)
    with contextlib.suppress(OSError):
        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    borrowed.detach()

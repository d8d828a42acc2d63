"""One connection of the management listener: HTTP/1.1 on a non-blocking socket, with deadlines.

Without limits for bytes and seconds, a client could use up the process.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import structlog

from flask_ops.core.http import Handler, Request, Response, Shared
from flask_ops.core.problem import INTERNAL
from flask_ops.management.request_parser import RefusedError, RequestParser
from flask_ops.web.answers import problem_answer

REQUEST_SECONDS = 5.0
"""Limit for a whole request, from its first byte. The first request counts from the connection."""
IDLE_SECONDS = 75.0
"""Limit for a client to begin its next request."""
SEND_SECONDS = 5.0
"""Limit for a client to read anything of its response."""
LINGER_SECONDS = 2.0
"""Limit for a client to close after the last response. If the client is still sending, an immediate close would reset
the connection and lose the response."""
_RECEIVE_BYTES = 16 * 1024
_JOINED_BYTES = 16 * 1024
"""Maximum size of a body that is copied behind its head. A larger one is not copied: many clients may have the same."""
_OURS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_BODILESS = frozenset({204, 304})

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)


class Connection:
    """Reads one request at a time into ``request``, and sends its answer.

    ``client`` is the one of its requests. Every method raises EOFError or OSError at the end of the connection.
    """

    def __init__(self, accepted: socket.socket, client: str) -> None:
        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # a Unix socket has no such option
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.client = accepted, client
        self.active = time.monotonic()
        """The time of the last bytes that were sent or received."""
        self.deadline = self.active + REQUEST_SECONDS
        self.request: Request | None = None
        """A complete request that is not answered yet."""
        self.shared: Shared | None = None
        """The promise of its answer, if others may wait for the same one."""
        self._parser = RequestParser(client)
        self._unsent: list[memoryview] = []
        self._asks = True  # to connect is to begin the first request
        self._closes = False  # after the bytes that are not sent yet
        self._lingers = False

    @property
    def events(self) -> int:
        """The events to wait for."""
        return selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ

    @property
    def expects_answer(self) -> bool:
        """True if a request has begun, or an answer is not sent yet."""
        return self._asks or bool(self._unsent)

    def proceed(self) -> None:
        """Send unsent bytes, or receive. Receive nothing while a request waits for its answer."""
        if self._unsent:
            self._send()
        elif self.request is None:
            data = self.socket.recv(_RECEIVE_BYTES)
            self.active = time.monotonic()
            if data and not self._lingers:
                self._parser.receive(data)
                self._parse()
            elif self._parser.has_begun and not self._lingers:
                self._refuse(RefusedError(400, "The connection ended in the middle of a request."))
            elif not data:
                raise EOFError

    def answer(self, handler: Handler) -> None:
        """Answer the request, or keep the promise of a shared answer."""
        assert self.request is not None  # noqa: S101 - for the type checker
        found = attempt(self.request, partial(handler, self.request))
        if isinstance(found, Shared):
            self.shared = found
        else:
            self.respond(found)

    def respond(self, response: Response) -> None:
        """Send the answer to the request, which then makes room for the next one."""
        bodiless = response.status in _BODILESS or (self.request is not None and self.request.method == "HEAD")
        self.request = self.shared = None
        self._closes = self._parser.closes
        self._send(*_serialise(response, bodiless=bodiless, closes=self._closes))

    def expire(self) -> None:
        """Act on the deadline: tell a client that its request is late, or end the connection."""
        if self._unsent or self._lingers or not self._parser.has_begun:
            raise EOFError
        self._refuse(RefusedError(408, f"A request must arrive within {REQUEST_SECONDS:g} seconds."))

    def _parse(self) -> None:
        """Read the next request as far as its bytes have arrived."""
        try:
            self.request = self._parser.next()
        except RefusedError as error:
            self._refuse(error)
            return
        begun = self.request is not None or self._parser.has_begun
        if begun != self._asks:
            self._asks = begun
            self.deadline = time.monotonic() + (REQUEST_SECONDS if begun else IDLE_SECONDS)

    def _refuse(self, error: RefusedError) -> None:
        self._closes = True
        self._send(*_serialise(problem_answer(error.status, str(error)), bodiless=False, closes=True))

    def _send(self, *more: bytes) -> None:
        self._unsent += map(memoryview, more)
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                rest = self._unsent[0][self.socket.send(self._unsent[0]) :]
                if rest:  # other clients get their turn
                    self._unsent[0] = rest
                    break
                del self._unsent[0]
        self.active = time.monotonic()
        if self._unsent:
            self.deadline = self.active + SEND_SECONDS
        elif self._closes:
            self.socket.shutdown(socket.SHUT_WR)
            self._asks, self._lingers = False, True
            self.deadline = self.active + LINGER_SECONDS
        else:
            self._asks = False
            self.deadline = self.active + IDLE_SECONDS
            self._parse()  # the client may have sent more requests already


def attempt(request: Request, make: Callable[[], T]) -> T | Response:
    """Return what ``make`` returns. If it raises, log that and return the answer of an internal error."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - any exception is logged and answered
        _log.exception("unhandled exception in the management listener", method=request.method, path=request.path)
        return problem_answer(500, INTERNAL)


def _serialise(response: Response, *, bodiless: bool, closes: bool) -> list[bytes]:
    """Return the pieces of a response."""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in response.headers if name.lower() not in _OURS]
    if response.status not in _BODILESS:
        lines.append(f"Content-Length: {len(response.body)}")
    if closes:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if bodiless or not response.body:
        return [head]
    return [head + response.body] if len(response.body) <= _JOINED_BYTES else [head, response.body]

"""One connection of the management listener: HTTP/1.1 on a non-blocking socket, with deadlines.

Without limits for bytes and seconds, a client could use up the process.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from email.utils import formatdate
from http import HTTPStatus

import structlog

from flask_ops.core.http import Handler, Request, Response
from flask_ops.core.problem import INTERNAL
from flask_ops.management.request_head import RefusedError
from flask_ops.management.request_parser import RequestParser
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
_RECEIVE_BYTES = 64 * 1024
_OURS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_BODILESS = frozenset({204, 304})
_FIELD = re.compile(r"[A-Za-z0-9-]+: [^\x00-\x08\x0a-\x1f\x7f]*")

_log = structlog.stdlib.get_logger(__name__)


class Connection:
    """Reads one request at a time into ``request``, and sends its answer.

    Every method raises EOFError or OSError at the end of the connection.
    """

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # a Unix socket has no such option
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.active = time.monotonic()
        """The time of the last bytes that were sent or received."""
        self.deadline = self.active + REQUEST_SECONDS
        self.request: Request | None = None
        """A complete request that is not answered yet."""
        self._parser = RequestParser()
        self._unsent = memoryview(b"")
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
        """Send the answer of ``handler`` to the request, which then makes room for the next one."""
        request, self.request = self.request, None
        assert request is not None  # noqa: S101 - for the type checker
        try:
            response = handler(request)
            sent = _serialise(response, is_head=request.method == "HEAD", closes=self._parser.closes)
        except Exception:  # noqa: BLE001 - any exception is logged and answered
            _log.exception("unhandled exception in the management listener", method=request.method, path=request.path)
            response = problem_answer(500, INTERNAL)
            sent = _serialise(response, is_head=request.method == "HEAD", closes=self._parser.closes)
        self._closes = self._parser.closes
        self._send(sent)

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
        if self.request is None and self._parser.take_expectation():
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        begun = self.request is not None or self._parser.has_begun
        if begun != self._asks:
            self._asks = begun
            self.deadline = time.monotonic() + (REQUEST_SECONDS if begun else IDLE_SECONDS)

    def _refuse(self, error: RefusedError) -> None:
        self._closes = True
        self._send(_serialise(problem_answer(error.status, str(error)), is_head=False, closes=True))

    def _send(self, more: bytes = b"") -> None:
        if more:
            self._unsent = memoryview(more)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.socket.send(self._unsent)
        self._unsent = self._unsent[sent:]
        now = time.monotonic()
        if sent:
            self.active = now
        if self._unsent:
            if sent or more:
                self.deadline = now + SEND_SECONDS
        elif self._closes:
            self._linger()
        else:
            self._asks = False
            self.deadline = now + IDLE_SECONDS
            self._parse()  # the client may have sent more requests already

    def _linger(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        self._asks, self._lingers = False, True
        self.deadline = time.monotonic() + LINGER_SECONDS


def _serialise(response: Response, *, is_head: bool, closes: bool) -> bytes:
    """Return the bytes of a response. Raises ValueError for an unknown status, or a field of more than one line."""
    lines = [f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in response.headers if name.lower() not in _OURS]
    if response.status not in _BODILESS:
        lines.append(f"Content-Length: {len(response.body)}")
    if closes:
        lines.append("Connection: close")
    for line in lines:
        if not _FIELD.fullmatch(line):
            raise ValueError(f"no header field: {line!r}")
    first = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    head = "\r\n".join([first, *lines, "", ""]).encode("latin-1")
    return head if is_head or response.status in _BODILESS else head + response.body

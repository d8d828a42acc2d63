"""One connection of the management listener: HTTP/1.1 on a non-blocking socket, with deadlines.

h11 parses and formats (RFC 9110, RFC 9112). Without limits for bytes and seconds, a client could use up the process.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from email.utils import formatdate
from http.client import responses
from urllib.parse import unquote

import h11
import structlog

from flask_ops.core.http import Handler, Request, Response
from flask_ops.core.problem import INTERNAL
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
HEAD_BYTES = 16 * 1024
BODY_BYTES = 64 * 1024
_RECEIVE_BYTES = 64 * 1024
_OURS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_BODILESS = frozenset({204, 304})

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
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._head: h11.Request | None = None  # of the current request
        self._body = bytearray()
        self._unsent = memoryview(b"")
        self._asks = True  # to connect is to begin the first request
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
            if not self._lingers:
                self._http.receive_data(data)
                self._parse()
            elif not data:
                raise EOFError

    def answer(self, handler: Handler) -> None:
        """Send the answer of ``handler`` to the request, which then makes room for the next one."""
        request, self.request = self.request, None
        assert request is not None  # noqa: S101 - for the type checker
        try:
            response = handler(request)
            head, body = _head(response), bytes(response.body)
        except Exception:  # noqa: BLE001 - any exception is logged and answered
            _log.exception("unhandled exception in the management listener", method=request.method, path=request.path)
            response = problem_answer(500, INTERNAL)
            head, body = _head(response), response.body
        self._respond(head, body)

    def expire(self) -> None:
        """Act on the deadline: tell a client that its request is late, or end the connection."""
        if self._unsent or self._lingers or not self._has_begun:
            raise EOFError
        self._refuse(408)

    @property
    def _has_begun(self) -> bool:
        return self._head is not None or bool(self._http.trailing_data[0])

    def _parse(self) -> None:
        """Read the next request as far as its bytes have arrived."""
        try:
            while self.request is None:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > BODY_BYTES:
                        raise h11.RemoteProtocolError("body too large", error_status_hint=413)
                elif isinstance(event, h11.EndOfMessage):
                    assert self._head is not None  # noqa: S101 - for the type checker
                    self.request = _request(self._head, bytes(self._body))
                elif isinstance(event, h11.ConnectionClosed):
                    self._linger()
                    return
                elif self._http.they_are_waiting_for_100_continue:
                    self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
                    return
                else:
                    break
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)
            return
        if self._has_begun != self._asks:
            self._asks = self._has_begun
            self.deadline = time.monotonic() + (REQUEST_SECONDS if self._asks else IDLE_SECONDS)

    def _begin(self, head: h11.Request) -> None:
        self._head = head
        if len(head.target) + sum(len(name) + len(value) for name, value in head.headers) > HEAD_BYTES:
            raise h11.RemoteProtocolError("headers too large", error_status_hint=431)
        if head.method == b"CONNECT":
            raise h11.RemoteProtocolError("not a proxy", error_status_hint=501)
        if any(name == b"content-length" and int(value) > BODY_BYTES for name, value in head.headers):
            raise h11.RemoteProtocolError("body too large", error_status_hint=413)

    def _refuse(self, status: int) -> None:
        response = problem_answer(status, "")
        self._respond(_head(response, ("Connection", "close")), response.body)

    def _respond(self, head: h11.Response, body: bytes) -> None:
        parts = [self._http.send(head)]
        if head.status_code not in _BODILESS and (self._head is None or self._head.method != b"HEAD"):
            parts.append(self._http.send(h11.Data(body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._head = None
        self._body.clear()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        self._send(b"".join(parts))

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
        elif self._http.our_state is h11.MUST_CLOSE:
            self._linger()
        else:
            self._asks = False
            self.deadline = now + IDLE_SECONDS
            self._parse()  # the client may have sent more requests already

    def _linger(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        self._asks, self._lingers = False, True
        self.deadline = time.monotonic() + LINGER_SECONDS


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    if "://" in path and not path.startswith("/"):  # a server must accept the absolute form (RFC 9112, 3.2.2)
        path = "/" + path.partition("://")[2].partition("/")[2]
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(head.method.decode("ascii"), unquote(path), query, headers, body)


def _head(response: Response, *more: tuple[str, str]) -> h11.Response:
    headers = [("Date", formatdate(usegmt=True)), *more]
    headers += [(name, value) for name, value in response.headers if name.lower() not in _OURS]
    if response.status not in _BODILESS:
        headers.append(("Content-Length", str(len(response.body))))
    return h11.Response(status_code=response.status, reason=responses.get(response.status, ""), headers=headers)

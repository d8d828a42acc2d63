"""HTTP/1.1 with one client of the management listener: bytes in, bytes out, no socket.

h11 parses and formats, the handler answers (RFC 9110, RFC 9112).
"""

from __future__ import annotations

from collections.abc import Collection
from email.utils import formatdate
from http.client import responses
from urllib.parse import unquote

import h11
import structlog

from flask_ops.core import problem
from flask_ops.core.http import Handler, Request, Response

HEAD_BYTES = 16 * 1024
BODY_BYTES = 64 * 1024
_OURS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_BODILESS = frozenset({204, 304})

_log = structlog.stdlib.get_logger(__name__)


class Conversation:
    """The requests of one connection, one after the other. Requests for ``slow_paths`` can be postponed."""

    def __init__(self, handler: Handler, slow_paths: Collection[str] = ()) -> None:
        self._handler = handler
        self._slow_paths = slow_paths
        self._put_off: Request | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._head: h11.Request | None = None  # of the incomplete request
        self._body = bytearray()
        self.is_over = False
        """True if the connection ends after the bytes that ``advance`` returned."""

    @property
    def has_begun(self) -> bool:
        """True if a part of the next request has arrived."""
        return self._head is not None or bool(self._http.trailing_data[0])

    @property
    def waits(self) -> bool:
        """True if the next answer is for a postponed request."""
        return self._put_off is not None

    def receive(self, data: bytes) -> None:
        """Take bytes from the client. Empty bytes are the end."""
        self._http.receive_data(data)

    def advance(self, *, slow: bool = True) -> bytes:
        """Return the next bytes to send, at most one response. Return nothing if more must be received first.

        Also return nothing if the next request is for one of the slow paths and ``slow`` is false.
        """
        if self._put_off is not None:
            return self._answer(self._put_off) if slow else b""
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > BODY_BYTES:
                        raise h11.RemoteProtocolError("body too large", error_status_hint=413)
                elif isinstance(event, h11.EndOfMessage):
                    assert self._head is not None  # noqa: S101 - for the type checker
                    request = _request(self._head, bytes(self._body))
                    if not slow and request.path in self._slow_paths:
                        self._put_off = request
                        return b""
                    return self._answer(request)
                elif isinstance(event, h11.ConnectionClosed):
                    self.is_over = True
                    return b""
                elif self._http.they_are_waiting_for_100_continue:
                    return self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
                else:
                    return b""
        except h11.RemoteProtocolError as error:
            return self.refuse(error.error_status_hint)

    def refuse(self, status: int) -> bytes:
        """Return an error response, and end the connection after it."""
        response = _problem(status)
        self.is_over, self._put_off = True, None
        return self._send(_head(response, ("Connection", "close")), response.body)

    def _begin(self, head: h11.Request) -> None:
        self._head = head
        if len(head.target) + sum(len(name) + len(value) for name, value in head.headers) > HEAD_BYTES:
            raise h11.RemoteProtocolError("headers too large", error_status_hint=431)
        if head.method == b"CONNECT":
            raise h11.RemoteProtocolError("not a proxy", error_status_hint=501)
        if any(name == b"content-length" and int(value) > BODY_BYTES for name, value in head.headers):
            raise h11.RemoteProtocolError("body too large", error_status_hint=413)

    def _answer(self, request: Request) -> bytes:
        self._put_off = None
        try:
            response = self._handler(request)
            answer, body = _head(response), bytes(response.body)
        except Exception:  # noqa: BLE001 - any exception is logged and answered
            _log.exception("unhandled exception in the management listener", method=request.method, path=request.path)
            response = _problem(500)
            answer, body = _head(response), response.body
        data = self._send(answer, body)
        self._head = None
        self._body.clear()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.is_over = True
        return data

    def _send(self, head: h11.Response, body: bytes) -> bytes:
        without_body = head.status_code in _BODILESS or (self._head is not None and self._head.method == b"HEAD")
        sent = [self._http.send(head), b"" if without_body else self._http.send(h11.Data(body))]
        return b"".join([*sent, self._http.send(h11.EndOfMessage())])


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


def _problem(status: int) -> Response:
    detail = problem.INTERNAL if status == 500 else None
    return Response(status, problem.body(status, detail), [("Content-Type", problem.CONTENT_TYPE)])

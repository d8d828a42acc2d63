"""A parser of HTTP/1.1 requests: bytes in, requests out. It does no I/O."""

from __future__ import annotations

from flask_ops.core.http import Request
from flask_ops.management import request_head
from flask_ops.management.request_body import Body
from flask_ops.management.request_head import HEAD_BYTES, Head, RefusedError


class RequestParser:
    """Parses the requests of one connection, one after the other. After an error it is of no more use."""

    def __init__(self, client: str = "") -> None:
        self._client = client
        self.closes = False
        """True if the connection ends after the request that ``next`` returned last."""
        self._received = bytearray()
        self._checked = 0  # so many bytes of an incomplete head
        self._has_skipped = False
        self._head: Head | None = None  # of a request whose body is not complete
        self._body: Body | None = None
        self._expects_continue = False

    @property
    def has_begun(self) -> bool:
        """True if a part of a request is here."""
        return self._head is not None or bool(self._received)

    def receive(self, data: bytes) -> None:
        """Add bytes of the client."""
        self._received += data

    def next(self) -> Request | None:
        """Return the next request, or None until it is complete. Raises RefusedError."""
        if self._head is None:
            self._head = self._take_head()
        if self._head is None:
            return None
        if self._body is None:
            self._body = Body(self._head)
            self._expects_continue = self._head.expects_continue
        body = self._body.take(self._received)
        if body is None:
            return None
        head, self._head, self._body = self._head, None, None
        self.closes = head.closes
        return Request(head.method, head.path, head.query, head.fields, body, self._client)

    def take_expectation(self) -> bool:
        """Tell once for each request whether the client waits for 100 Continue before it sends the body."""
        expects, self._expects_continue = self._expects_continue and self._body is not None, False
        return expects

    def _take_head(self) -> Head | None:
        received = self._received
        if not self._has_skipped and received.startswith(b"\r\n"):  # some clients send it after a body (RFC 9112, 2.2)
            del received[:2]
            self._has_skipped = True
        end = received.find(b"\r\n\r\n", max(0, self._checked - 3))
        head = received if end < 0 else received[: end + 2]
        request_head.check(head, max(0, self._checked - 1))
        if len(head) > HEAD_BYTES:
            raise RefusedError(431, f"Request line and fields may have at most {HEAD_BYTES} bytes together.")
        if end < 0:
            self._checked = len(received)
            return None
        parsed = request_head.parse(bytes(head[:-2]))
        del received[: end + 4]
        self._checked, self._has_skipped = 0, False
        return parsed

"""A strict parser of HTTP/1.1 requests: bytes in, requests out. It does no I/O.

Each head that two programs could read in different ways is refused, as Gunicorn does on the application's port. Lenient
parsers join folded lines, accept a bare LF or choose one of two lengths. The numbers in the texts are sections of RFC
9110 and RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from flask_ops.core.http import Request

REQUEST_LINE_BYTES = 4094
FIELD_BYTES = 8190
FIELDS = 100
"""These three limits are Gunicorn's defaults."""
HEAD_BYTES = 16 * 1024
"""Maximum size of the whole head."""
BODY_BYTES = 64 * 1024

_REQUEST_LINE = re.compile(
    r"(?P<method>[A-Z0-9!$%&'*+.^_`|~-]{3,20}) "
    r"(?:(?i:https?)://(?P<authority>[^ /?#]+))?(?P<path>/[!->@-~]*)?(?:\?(?P<query>[!-~]*))? HTTP/1\.(?P<minor>[0-9])"
)
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")
_SINGLE = frozenset({"content-length", "content-type", "host", "transfer-encoding"})


class RefusedError(Exception):
    """The request is not valid, or too large. The response has this ``status``, and the text as its detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _Head(NamedTuple):
    """``path`` is percent-decoded, ``query`` is not. Field names are in lower case, repeated fields are joined."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    length: int
    """Bytes of the body."""
    closes: bool
    """True if the connection ends after this request. HTTP/1.0 clients that want to keep it are rare."""


class RequestParser:
    """Parses the requests of one connection, one after the other. After an error it is of no more use."""

    def __init__(self, client: str = "") -> None:
        self._client = client
        self.closes = False
        """True if the connection ends after the request that ``next`` returned last."""
        self._received = bytearray()
        self._checked = 0  # so many bytes of an incomplete head
        self._has_skipped = False
        self._head: _Head | None = None  # of a request whose body is not complete

    @property
    def has_begun(self) -> bool:
        """True if a part of a request is here."""
        return self._head is not None or bool(self._received)

    def receive(self, data: bytes) -> None:
        """Add bytes of the client."""
        self._received += data

    def next(self) -> Request | None:
        """Return the next request, or None until it is complete. Raises RefusedError."""
        self._head = head = self._head or self._take_head()
        if head is None or len(self._received) < head.length:
            return None
        body = bytes(self._received[: head.length])
        del self._received[: head.length]
        self._head, self.closes = None, head.closes
        return Request(head.method, head.path, head.query, head.fields, body, self._client)

    def _take_head(self) -> _Head | None:
        received = self._received
        if not self._has_skipped and received.startswith(b"\r\n"):  # some clients send it after a body (RFC 9112, 2.2)
            del received[:2]
            self._has_skipped = True
        end = received.find(b"\r\n\r\n", max(0, self._checked - 3))
        head = received if end < 0 else received[: end + 2]
        _check(head, max(0, self._checked - 1))
        if len(head) > HEAD_BYTES:
            raise RefusedError(431, f"Request line and fields may have at most {HEAD_BYTES} bytes together.")
        if end < 0:
            self._checked = len(received)
            return None
        parsed = _parse(bytes(head[:-2]))
        del received[: end + 4]
        self._checked, self._has_skipped = 0, False
        return parsed


def _check(data: bytes | bytearray, start: int) -> None:
    """Refuse control characters and line ends other than CR LF. The last line may be incomplete."""
    found = _CONTROL.search(data, start)
    if found and found[0] in {b"\r", b"\n"}:
        raise RefusedError(400, "Each line must end with CR LF (RFC 9112, 2.2).")
    if found:
        raise RefusedError(400, "Control characters are not allowed (RFC 9110, 5.5). Does the client use TLS?")


def _parse(data: bytes) -> _Head:
    """Return the head, given without its empty line. Raises RefusedError."""
    first, *lines = data.decode("latin-1").split("\r\n")
    if len(first) > REQUEST_LINE_BYTES:
        raise RefusedError(414, f"The request line may have at most {REQUEST_LINE_BYTES} bytes.")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None or not (line["authority"] or line["path"]):
        raise RefusedError(400, "Expected a request line like GET /path HTTP/1.1, with single spaces (RFC 9112, 3).")
    fields = _fields(lines)
    if line["authority"]:  # it counts instead of the field (RFC 9112, 3.2.2)
        fields["host"] = line["authority"]
    is_old = line["minor"] == "0"
    if not ("host" in fields or is_old) or not _AUTHORITY.fullmatch(fields.get("host", "")):
        raise RefusedError(400, "Expected a Host like name:8001, 10.0.0.1:8001 or [::1]:8001 (RFC 9112, 3.2).")
    if "expect" in fields:
        raise RefusedError(417, "Expected no Expect field: send the body at once (RFC 9110, 10.1.1).")
    if "transfer-encoding" in fields:
        raise RefusedError(501, "Expected Content-Length instead of Transfer-Encoding (RFC 9112, 6.1).")
    length = fields.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise RefusedError(400, "Expected one number of bytes as Content-Length (RFC 9110, 8.6).")
    if int(length) > BODY_BYTES:
        raise RefusedError(413, f"A body may have at most {BODY_BYTES} bytes.")
    options = [option.strip() for option in fields.get("connection", "").lower().split(",")]
    path, query = unquote(line["path"] or "/"), line["query"] or ""
    return _Head(line["method"], path, query, fields, int(length), is_old or "close" in options)


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Return the values by name in lower case. A comma joins those of a repeated name. Raises RefusedError."""
    if len(lines) > FIELDS:
        raise RefusedError(431, f"A request may have at most {FIELDS} fields.")
    fields: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if len(line) > FIELD_BYTES:
            raise RefusedError(431, f"A field may have at most {FIELD_BYTES} bytes. Line {number} is longer.")
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise RefusedError(400, f"Line {number} is not like Name: value, or is folded (RFC 9112, 5).")
        name, value = name.lower(), value.strip(" \t")
        if name in fields and name in _SINGLE:
            raise RefusedError(400, f"There are two {name} fields. Expected one (RFC 9110, 5.3).")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields

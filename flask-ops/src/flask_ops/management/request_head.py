"""The head of an HTTP/1.1 request, parsed strictly: request line and fields.

Each head that two programs could read in different ways is refused, as Gunicorn does on the application's port. Lenient
parsers join folded lines, accept a bare LF or choose one of two lengths. The numbers in the texts are sections of RFC
9110 and RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

REQUEST_LINE_BYTES = 4094
FIELD_BYTES = 8190
FIELDS = 100
"""These three limits are Gunicorn's defaults."""
HEAD_BYTES = 16 * 1024
"""Maximum size of the whole head."""

_METHOD = re.compile(r"[A-Z0-9!$%&'*+.^_`|~-]{3,20}")
_TARGET = re.compile(r"/[!-~]*")
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]+)(?P<rest>(?:[/?][!-~]*)?)")
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")
_SINGLE = frozenset({"content-length", "content-type", "host", "transfer-encoding"})


class RefusedError(Exception):
    """The request is not valid, or too large. The response has this ``status``, and the text as its detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Head(NamedTuple):
    """``path`` is percent-decoded, ``query`` is not. Field names are in lower case, repeated fields are joined."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    is_old: bool
    """True for HTTP/1.0."""
    expects_continue: bool
    """True if the client waits for 100 Continue before it sends the body."""

    @property
    def closes(self) -> bool:
        """True if the connection ends after this request. HTTP/1.0 clients that want to keep it are rare."""
        options = self.fields.get("connection", "").lower().split(",")
        return self.is_old or "close" in [option.strip() for option in options]


def check(data: bytes | bytearray, start: int = 0) -> None:
    """Refuse control characters and line ends other than CR LF. The last line may be incomplete."""
    found = _CONTROL.search(data, start)
    if found and found[0] in {b"\r", b"\n"}:
        raise RefusedError(400, "Each line must end with CR LF (RFC 9112, 2.2).")
    if found:
        raise RefusedError(400, "Control characters are not allowed (RFC 9110, 5.5). Does the client use TLS?")


def parse(data: bytes) -> Head:
    """Return the head, given without its empty line. Raises RefusedError."""
    first, *lines = data.decode("latin-1").split("\r\n")
    method, target, version = _split(first)
    fields = parse_fields(lines)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:  # its host counts instead of the field (RFC 9112, 3.2.2)
        fields["host"] = absolute["authority"]
        target = absolute["rest"] if absolute["rest"].startswith("/") else f"/{absolute['rest']}"
    elif not _TARGET.fullmatch(target) and (method, target) != ("OPTIONS", "*"):
        raise RefusedError(400, "Expected a target like /path or http://host/path (RFC 9112, 3.2).")
    is_old = version == "HTTP/1.0"
    if "host" not in fields and not is_old:
        raise RefusedError(400, "Expected a Host field (RFC 9112, 3.2).")
    if not _AUTHORITY.fullmatch(fields.get("host", "")):
        raise RefusedError(400, "Expected a Host like name:8001, 10.0.0.1:8001 or [::1]:8001 (RFC 9112, 3.2).")
    expected = fields.get("expect", "").lower()
    if expected not in {"", "100-continue"}:
        raise RefusedError(417, "Expected no Expect field, or 100-continue (RFC 9110, 10.1.1).")
    path, _, query = target.partition("?")
    return Head(method, unquote(path), query, fields, is_old, bool(expected) and not is_old)


def _split(line: str) -> Sequence[str]:
    if len(line) > REQUEST_LINE_BYTES:
        raise RefusedError(414, f"The request line may have at most {REQUEST_LINE_BYTES} bytes.")
    parts = line.split(" ")
    if len(parts) != 3 or not all(parts):
        raise RefusedError(400, "Expected a request line like GET /path HTTP/1.1, with single spaces (RFC 9112, 3).")
    if not _METHOD.fullmatch(parts[0]):
        raise RefusedError(400, "Expected a method of 3 to 20 capital letters, such as GET.")
    if parts[0] == "CONNECT":
        raise RefusedError(501, "This is not a proxy: there is no CONNECT.")
    if not re.fullmatch(r"HTTP/[0-9]\.[0-9]", parts[2]):
        raise RefusedError(400, "Expected HTTP/1.1 at the end of the request line (RFC 9112, 2.3).")
    if not parts[2].startswith("HTTP/1."):
        raise RefusedError(505, "Expected HTTP/1.1 or HTTP/1.0.")
    return parts


def parse_fields(lines: Sequence[str]) -> dict[str, str]:
    """Return the values by name in lower case. A comma joins those of a repeated name. Raises RefusedError."""
    if len(lines) > FIELDS:
        raise RefusedError(431, f"A request may have at most {FIELDS} fields.")
    fields: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if len(line) > FIELD_BYTES:
            raise RefusedError(431, f"A field may have at most {FIELD_BYTES} bytes. Line {number} is longer.")
        name, colon, value = line.partition(":")
        if line.startswith((" ", "\t")):
            raise RefusedError(400, f"Line {number} is folded. A field must be on one line (RFC 9112, 5.2).")
        if not colon or not _NAME.fullmatch(name):
            raise RefusedError(400, f"Line {number} is not like Name: value, without a space before the colon.")
        name, value = name.lower(), value.strip(" \t")
        if name in fields and name in _SINGLE:
            raise RefusedError(400, f"There are two {name} fields. Expected one (RFC 9110, 5.3).")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields

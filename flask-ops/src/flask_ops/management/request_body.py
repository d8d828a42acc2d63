"""The body of an HTTP/1.1 request, parsed strictly: of a known length, or chunked (RFC 9112, 6 and 7.1)."""

from __future__ import annotations

import re

from flask_ops.management.request_head import FIELD_BYTES, HEAD_BYTES, Head, RefusedError, check, parse_fields

BODY_BYTES = 64 * 1024

_TOKEN = rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_CHUNK = re.compile(
    rb"(?P<size>[0-9A-Fa-f]{1,16})(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*\r\n" % (_TOKEN, _TOKEN, _QUOTED)
)
"""The size of a chunk and its extensions, which have no meaning here (RFC 9112, 7.1.1)."""
_NOT_IN_TRAILERS = frozenset({"authorization", "content-length", "host", "te", "trailer", "transfer-encoding"})


class Body:
    """Takes a body from received bytes. Without a length there is none."""

    def __init__(self, head: Head) -> None:
        """Raises RefusedError for a length that is missing, ambiguous or too large."""
        coding, length = head.fields.get("transfer-encoding"), head.fields.get("content-length", "0")
        if coding is not None and "content-length" in head.fields:
            raise RefusedError(400, "Expected Content-Length or Transfer-Encoding, not both (RFC 9112, 6.1).")
        if coding is not None and head.is_old:
            raise RefusedError(400, "HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1). Expected Content-Length.")
        if coding is not None and coding.lower() != "chunked":
            raise RefusedError(501, "Expected Transfer-Encoding: chunked, and no other coding (RFC 9112, 6.1).")
        if not re.fullmatch("[0-9]{1,18}", length):
            raise RefusedError(400, "Expected one number of bytes as Content-Length (RFC 9110, 8.6).")
        self._is_chunked = coding is not None
        self._missing = int(length)
        self._body = bytearray()
        self._require_room(self._missing)

    def take(self, received: bytearray) -> bytes | None:
        """Remove bytes of the body from ``received``. Return the body, or None until it is complete.

        Raises RefusedError.
        """
        if self._is_chunked:
            return self._take_chunks(received)
        taken = received[: self._missing]
        del received[: self._missing]
        self._body += taken
        self._missing -= len(taken)
        return None if self._missing else bytes(self._body)

    def _take_chunks(self, received: bytearray) -> bytes | None:
        while True:
            end = received.find(b"\r\n") + 2
            line = received[: end if end >= 2 else None]
            check(line)
            if len(line) > FIELD_BYTES:
                raise RefusedError(400, f"The line before a chunk may have at most {FIELD_BYTES} bytes.")
            if end < 2:
                return None
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise RefusedError(400, "Expected the size of a chunk in hexadecimal digits (RFC 9112, 7.1).")
            size = int(match["size"], 16)
            if size == 0:
                return self._take_trailers(received, end)
            self._require_room(size)
            if len(received) < end + size + 2:
                return None
            if received[end + size : end + size + 2] != b"\r\n":
                raise RefusedError(400, "Expected CR LF after the data of a chunk (RFC 9112, 7.1).")
            self._body += received[end : end + size]
            del received[: end + size + 2]

    def _take_trailers(self, received: bytearray, begin: int) -> bytes | None:
        """End the body. Its trailers must be valid, but have no meaning here."""
        end = received.find(b"\r\n\r\n", begin - 2)  # without trailers, the first half ends the line of the last chunk
        section = received[begin : end + 2 if end >= 0 else None]
        check(section)
        if len(section) > HEAD_BYTES:
            raise RefusedError(431, f"Trailers may have at most {HEAD_BYTES} bytes.")
        if end < 0:
            return None
        fields = parse_fields(section.decode("latin-1").split("\r\n")[:-1])
        if not _NOT_IN_TRAILERS.isdisjoint(fields):
            raise RefusedError(400, f"Not allowed in trailers: {', '.join(sorted(_NOT_IN_TRAILERS & fields.keys()))}.")
        del received[: end + 4]
        return bytes(self._body)

    def _require_room(self, size: int) -> None:
        if len(self._body) + size > BODY_BYTES:
            raise RefusedError(413, f"A body may have at most {BODY_BYTES} bytes.")

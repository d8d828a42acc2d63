"""Refuses late requests before Gunicorn parses them. Otherwise a refusal would cost half as much as an answer.

Under overload, most requests are refused. Only a GET or HEAD request without a body, whose head is beyond doubt, is
refused here. All others take the usual way, on which the observer refuses them.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any
from urllib.parse import unquote

from gunicorn import util

from flask_ops.core.context import new_request_id
from flask_ops.web import problems, queue_time
from flask_ops.web.admission import Admission, retry_after

MAX_HEAD = 8192
"""Maximum size of a head, in bytes."""

# Strict, because a request that a proxy reads in another way could hide a second one.
_HEAD = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[\t -~\x80-\xff]*\r\n)+)\r\n")
_REQUEST_LINE = re.compile(rb"[A-Z]{3,20} (/[!-~]*) HTTP/1")
_UNUSUAL = re.compile(
    rb"(?im)^(?:content-length|transfer-encoding|expect|upgrade|connection):(?![ \t]*(?:close|keep-alive)\r$)"
)
_CLOSE = re.compile(rb"(?im)^connection:[ \t]*close\r$")
_START = re.compile(rb"(?im)^x-request-start:[ \t]*([^\r]*?)[ \t]*\r$")
_ID = re.compile(rb"(?im)^x-request-id:[ \t]*([A-Za-z0-9._:-]{1,128})\r$")


def goes_first(conn: Any, admission: Admission) -> bool:
    """Tell whether the request that waits on a connection goes first."""
    try:
        head = _REQUEST_LINE.match(_peek(conn))
    except OSError:
        return False
    return head is not None and admission.is_critical(_path(head[1]))


def refuse(conn: Any, admission: Admission, *, closes: bool) -> bool | None:
    """Refuse the request that waits on a connection, if it is late. Return None if it takes the usual way.

    Otherwise return whether to keep the connection. With ``closes``, the response asks the client to close it.
    """
    queued = queue_time.of_socket(conn.sock)
    if queued is None or queued <= admission.allowed or admission.wants_line:
        return None
    if conn.parser is not None and conn.parser.unreader.buf.getvalue():  # the client does not wait for responses
        return None
    try:
        data = _peek(conn)
        head = _HEAD.fullmatch(data)
        if head is None or _UNUSUAL.search(head[3]) or not admission.refuses(path := _path(head[2]), queued):
            return None
        reported = _by_proxy(head[3]) if admission.trusts_request_start else 0.0
        admission.refused(path, max(queued, reported))
        conn.sock.recv(len(data))
        closes = closes or _CLOSE.search(head[3]) is not None
        response = _response(head, closes=closes)
        return conn.sock.send(response, socket.MSG_DONTWAIT) == len(response) and not closes
    except BlockingIOError:  # nothing has arrived
        return None
    except OSError:  # the client has gone
        return False


def _peek(conn: Any) -> bytes:
    # The method of the plain socket, because TLS sockets refuse flags.
    return socket.socket.recv(conn.sock, MAX_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)


def _by_proxy(headers: bytes) -> float:
    header = b",".join(_START.findall(headers))  # as Gunicorn joins them: of_header knows no list
    return queue_time.of_header(header.decode("latin-1"), time.time()) or 0.0


def _path(target: bytes) -> str:
    return unquote(target.partition(b"?")[0].decode("latin-1"), "latin-1")


def _response(head: re.Match[bytes], *, closes: bool) -> bytes:
    given = _ID.search(head[3])
    request_id = given[1].decode() if given else new_request_id()
    status, headers, body = problems.response(503, request_id)
    lines = [
        f"HTTP/1.1 {status}",
        f"Date: {util.http_date()}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        f"Retry-After: {retry_after()}",
        f"X-Request-ID: {request_id}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head[1] == b"HEAD" else body)

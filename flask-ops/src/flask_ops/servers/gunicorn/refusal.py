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

from flask_ops.core.context import RequestContext
from flask_ops.servers.gunicorn.request import parse_head
from flask_ops.web import problems, queue_time
from flask_ops.web.admission import Admission, retry_after

MAX_HEAD = 8192
"""Maximum size of a head, in bytes."""

_REQUEST_LINE = re.compile(rb"[A-Z]{3,20} (/[!-~]*) HTTP/1")
_UNUSUAL = frozenset({"CONTENT-LENGTH", "TRANSFER-ENCODING", "EXPECT", "UPGRADE"})
_CONNECTION = re.compile("(?i)(close|keep-alive)?")


def goes_first(conn: Any, admission: Admission) -> bool:
    """Tell whether the request that waits on a connection goes first."""
    try:
        head = _REQUEST_LINE.match(_peek(conn))
    except OSError:
        return False
    return head is not None and admission.is_critical(_path(head[1].decode()))


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
        parsed = parse_head(data.decode("latin-1"), MAX_HEAD)
        if parsed is None:
            return None
        head, headers = parsed
        is_usual = head[1] in ("GET", "HEAD") and head.end() == len(data) and _UNUSUAL.isdisjoint(headers)
        connection = _CONNECTION.fullmatch(headers.get("CONNECTION", ""))
        if not is_usual or connection is None or not admission.refuses(path := _path(head[2]), queued):
            return None
        if admission.trusts_request_start:
            queued = max(queued, queue_time.of_header(headers.get("X-REQUEST-START", ""), time.time()) or 0.0)
        admission.refused(path, queued)
        conn.sock.recv(len(data))
        closes = closes or connection[0].lower() == "close"
        response = _response(head[1], headers.get("X-REQUEST-ID"), closes=closes)
        return conn.sock.send(response, socket.MSG_DONTWAIT) == len(response) and not closes
    except BlockingIOError:  # nothing has arrived
        return None
    except OSError:  # the client has gone
        return False


def _peek(conn: Any) -> bytes:
    # The method of the plain socket, because TLS sockets refuse flags.
    return socket.socket.recv(conn.sock, MAX_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)


def _path(target: str) -> str:
    return unquote(target.partition("?")[0], "latin-1")


def _response(method: str, request_id: str | None, *, closes: bool) -> bytes:
    request_id = RequestContext.from_environ({"HTTP_X_REQUEST_ID": request_id}).request_id
    status, headers, body = problems.response(503, request_id)
    lines = [
        f"HTTP/1.1 {status}",
        f"Date: {util.http_date()}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        f"Retry-After: {retry_after()}",
        f"X-Request-ID: {request_id}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body)

"""The time a request waited before a thread took it: by the kernel's clock, or by a trusted proxy's."""

from __future__ import annotations

import re
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CONNECTION = "flask_ops.connection"
"""The key in the WSGI environment of the client's connection: a socket (Waitress), or a descriptor (uWSGI)."""

_HEADER = re.compile(r"(?:t=)?([0-9]{10,16}(?:\.[0-9]{1,6})?)")
_LONGEST_SECONDS = 3600.0
_TCP_INFO: int | None = socket.TCP_INFO if sys.platform == "linux" else None
_LAST_DATA_RECV = struct.Struct("=52xI")
"""The start of ``struct tcp_info`` (linux/tcp.h) up to ``tcpi_last_data_recv``, in milliseconds."""


def of_request(environ: WSGIEnvironment) -> float | None:
    """Return the seconds that a request has waited, by its socket; None if the server or the socket cannot tell."""
    client = environ.get("gunicorn.socket") or environ.get(CONNECTION)
    return None if client is None else of_socket(client)


def of_socket(client: Any) -> float | None:
    """Return the seconds since the last data of the client arrived; None if the socket cannot tell.

    When a thread takes a request, this is the time that the request has waited, in the kernel's accept queue too. The
    kernel counts in ticks of 1 to 10 ms. A body that is still arriving makes the time shorter. Only TCP sockets under
    Linux can tell.
    """
    if _TCP_INFO is None:
        return None
    try:
        milliseconds: int = _LAST_DATA_RECV.unpack(client.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 56))[0]
    except (OSError, struct.error, AttributeError):  # the last is uWSGI's descriptor
        return None
    return milliseconds / 1000


def of_header(header: str, now: float) -> float | None:
    """Return the seconds between ``X-Request-Start`` and ``now`` (Unix time); None if it makes no sense.

    Proxies send seconds (nginx's ``t=${msec}``), milliseconds (Heroku) or microseconds (Apache's ``t=%t``). Their size
    distinguishes them. A start in the future counts as no wait.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        return None
    start = float(match[1])
    if start >= 1e14:
        start /= 1e6  # microseconds
    elif start >= 1e11:
        start /= 1e3  # milliseconds
    seconds = now - start
    return max(0.0, seconds) if -_LONGEST_SECONDS < seconds < _LONGEST_SECONDS else None

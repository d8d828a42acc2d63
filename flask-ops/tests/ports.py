"""Ports that tests give to servers."""

from __future__ import annotations

import atexit
import socket


def free_port() -> int:
    """Return a port of loopback that no other process gets while this process lives.

    A socket stays bound to it. Servers can still listen there, because they set SO_REUSEADDR. Without the socket, the
    kernel could give the port to a client's connection.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    atexit.register(held.close)
    return int(held.getsockname()[1])

"""Free ports for servers that need their port number before they start."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserved() -> Iterator[int]:
    """Hold a free port of the loopback interface until the block ends.

    A bound socket holds the port and never listens. It sets SO_REUSEADDR, as servers do, so Linux lets a
    server bind and listen on the same port. Linux gives the port to no process that asks for a free one.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])

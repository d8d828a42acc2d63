"""Ports of the kernel's choice for servers that have to be told theirs before they start."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserved() -> Iterator[int]:
    """Hold a free port of the loopback interface until the block ends.

    The socket that holds it is bound and never listens. With SO_REUSEADDR on both sides, as servers
    have it, Linux lets one of them bind and listen beside it, and gives the port to nobody who asks
    for a free one.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])

"""The drain: this server sends its clients away, before a stop or because an operator asked for it.

Without it, a stop would reset the connections of clients. The state is one page of memory that the master shares with
the workers it forks. Reading it costs a request nothing, and every worker sees a change at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog

SERVING, DRAINING, STOPPING = range(3)
REPEAT_SECONDS = 2.0
"""A SIGTERM within this time after the first one is the same request to stop: Heroku sends several at once."""
_SO_ATTACH_FILTER = 26
"""From asm-generic/socket.h; Python's ``socket`` has no name for it."""

_INSTRUCTIONS = (
    (0x30, 0, 0, 13),  # load the TCP flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone opens a new connection:
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # pass the rest, such as the last packet of a handshake
)
"""A classic BPF program; see the kernel's Documentation/networking/filter.rst for code, jt, jf and k."""

_log = structlog.stdlib.get_logger(__name__)


class Drain:
    """The state: serving, draining (which ``end`` can undo), or stopping (which is final).

    In the last two states readiness is 503, and each response asks its client to close the connection. Every request
    still gets its answer.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._since = 0.0

    def __bool__(self) -> bool:
        return self._page[0] != SERVING

    @property
    def is_final(self) -> bool:
        """True if the server is stopping."""
        return self._page[0] == STOPPING

    @property
    def seconds(self) -> float:
        """Seconds since the drain began, 0 while serving. Only the process that began it knows."""
        return time.monotonic() - self._since if self else 0.0

    def begin(self, *, final: bool = False) -> None:
        """Start to drain. A ``final`` drain lasts until the process ends."""
        if not self:
            self._since = time.monotonic()
        if final or not self.is_final:
            self._page[0] = STOPPING if final else DRAINING

    def begin_stop(self, seconds: float, count_in_flight: Callable[[], int]) -> float:
        """Start the final drain, and log it. Return how many of its ``seconds`` are left, at least 0.

        The time since an operator started to drain counts.
        """
        left = max(0.0, seconds - self.seconds)
        self.begin(final=True)
        if left:
            _log.info("draining", seconds=round(left, 3), requests_in_flight=count_in_flight())
        return left

    def end(self) -> bool:
        """Serve again. Return False if the drain is final."""
        if self.is_final:
            return False
        self._page[0] = SERVING
        return True


DRAIN = Drain()
"""The drain of this server. A fork shares it; a new master (SIGUSR2) has its own."""


def admit_no_more(listener: Any) -> None:
    """Make ``listener``, a socket or an object with its methods, ignore new connections before its final close.

    When a listener closes, the kernel resets the connections in its backlog. A server therefore empties the backlog
    first. A client can still connect between the last ``accept()`` and the close; on a busy machine, one did. No system
    call does both steps, but a filter can make the listener ignore new connections. A client that connects then gets no
    answer. Its kernel tries again a second later and is refused. The filter does not help a client in the middle of its
    handshake.

    This affects every process that has the socket open, and this module cannot undo it. It does nothing to a Unix
    socket, or outside Linux.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _INSTRUCTIONS))
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(program))
        )

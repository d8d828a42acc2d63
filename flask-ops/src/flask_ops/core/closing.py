"""A final stop of new connections, so that closing a listening socket resets none.

When a listener closes, the kernel resets the connections in its backlog. A server therefore empties the backlog first.
A client can still connect between the last ``accept()`` and the close; on a busy machine, one did. No system call does
both steps, but a filter can make the listener ignore new connections. A client that connects then gets no answer. Its
kernel tries again a second later and is refused. The filter does not help a client in the middle of its handshake.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from typing import Any

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


def admit_no_more(listener: Any) -> None:
    """Make ``listener``, a socket or an object with its methods, ignore new connections.

    This affects every process that has the socket open, and this module cannot undo it. Call it only before the final
    close. It does nothing to a Unix socket, or outside Linux.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _INSTRUCTIONS))
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(program))
        )

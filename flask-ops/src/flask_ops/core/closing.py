"""Closing a listening socket for good, without a reset for who has connected just before.

What waits in a listener's queue when it is closed is reset by the kernel, so that a server empties the queue first.
Between the last look and the close somebody may connect still, and with both cores busy somebody did. No call of the
kernel does both, but a listener can be told to hear no new connection any more. Who asks meanwhile gets no answer, and
is refused when the kernel of the client tries again, a second later. Not helped is a client whose handshake is under
way over a network.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from typing import Any

_SO_ATTACH_FILTER = 26
"""Of asm-generic/socket.h; Python's ``socket`` has no name for it."""

_INSTRUCTIONS = (
    (0x30, 0, 0, 13),  # load the byte of the TCP header that has the flags
    (0x54, 0, 0, 0x12),  # of which SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN: the beginning of a new connection
    (0x06, 0, 0, 0),  # is dropped;
    (0x06, 0, 0, 0xFFFFFFFF),  # all else passes, the end of a handshake among it
)
"""A classic BPF program; see the kernel's Documentation/networking/filter.rst for code, jt, jf and k."""


def admit_no_more(listener: Any) -> None:
    """Have ``listener``, a socket or what has its methods, hear of no new connection from here on.

    That holds for all who have the socket open, and cannot be taken back here: it is for a socket that nobody will
    serve any more. Where it cannot be done (a Unix socket, another system than Linux) nothing changes.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _INSTRUCTIONS))
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(program))
        )

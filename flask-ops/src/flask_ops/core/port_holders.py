"""The processes that hold an address in use, such as a child that a view started and that outlived the service.

Without it, an operator would have to search for them. Linux tells, for processes of the same user.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from flask_ops.core.address import Address

MAX_COMMAND = 200
"""Maximum characters of a command line."""
MAX_HOLDERS = 5
_LISTENS, _ACCEPTS = "0A", "00010000"
"""State of a TCP socket that listens, and flags of such a Unix socket, in /proc/net."""


def explained(error: OSError, address: Address) -> OSError:
    """Return ``error``, from an attempt to bind ``address``. If it is in use, the text names its holders."""
    held = holders(address) if error.errno == errno.EADDRINUSE else ""
    return OSError(error.errno, f"{os.strerror(errno.EADDRINUSE)} by {held}") if held else error


def holders(address: Address) -> str:
    """Return process IDs and commands of the processes that listen on ``address``; empty if unknown."""
    try:
        sockets = set(_unix_sockets(address.unix) if address.unix else _tcp_sockets(address))
        found = [_describe(pid) for pid in _processes_with(sockets) if pid != os.getpid()]
    except OSError:  # not Linux, or no such host
        return ""
    more = len(found) - MAX_HOLDERS
    return ", ".join([*found[:MAX_HOLDERS], *([f"{more} more"] if more > 0 else [])])


def _tcp_sockets(address: Address) -> Iterator[str]:
    wanted = {ipaddress.ip_address(found[4][0]) for found in socket.getaddrinfo(address.host, address.port)}
    for name in ("tcp", "tcp6"):  # proc_pid_net(5)
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            host, port = local.split(":")
            bound = _decoded(host)
            collides = bound in wanted or bound.is_unspecified or any(each.is_unspecified for each in wanted)
            if state == _LISTENS and int(port, 16) == address.port and collides:
                yield rest[5]


def _decoded(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address, whose words of 32 bits have the byte order of the machine."""
    words = [int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)]
    return ipaddress.ip_address(b"".join(words))


def _unix_sockets(path: str) -> Iterator[str]:
    for line in Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if fields[3] == _ACCEPTS and fields[7:] == [path]:
            yield fields[6]


def _processes_with(sockets: set[str]) -> Iterator[int]:
    wanted = {Path(f"socket:[{inode}]") for inode in sockets}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted and any(each.readlink() in wanted for each in (process / "fd").iterdir()):
                yield int(process.name)
        except OSError:  # it has ended, or belongs to another user
            continue


def _describe(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return f"process {pid} ({command[:MAX_COMMAND]})"

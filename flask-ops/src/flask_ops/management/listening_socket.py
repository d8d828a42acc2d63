"""Listening sockets: bound to an address, or handed over by another program."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from pathlib import Path

from flask_ops.core.address import Address
from flask_ops.core.port_holders import explained

BACKLOG = 1024
UNIX_MODE = 0o600
"""Mode of a Unix socket: only the user of the service may connect."""


def bind(address: Address) -> socket.socket:
    """Return a socket that listens. Raises OSError, for example if the address is in use."""
    try:
        if address.unix:
            return _bind_unix(address.unix)
        # Not SO_REUSEPORT: two programs must not share a port by mistake. `[::]` includes IPv4.
        return socket.create_server(
            (address.host, address.port),
            family=socket.AF_INET6 if ":" in address.host else socket.AF_INET,
            backlog=BACKLOG,
            dualstack_ipv6=address.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise explained(error, address) from None


def inherit(descriptor: int) -> socket.socket:
    """Return the listening socket that exec left open. Raises OSError if the descriptor is anything else."""
    listening = socket.socket(fileno=descriptor)
    if not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listening.detach()  # it has another owner, so do not close it
        raise OSError(errno.EINVAL, f"descriptor {descriptor} is not a listening socket")
    listening.set_inheritable(False)
    return listening


def address_of(listening: socket.socket) -> Address:
    """Return the address that the kernel gave to the socket."""
    name = listening.getsockname()
    return Address(unix=os.fsdecode(name)) if isinstance(name, str | bytes) else Address(name[0], name[1])


def client_of(accepted: socket.socket, peer: object) -> str:
    """Return the IP address of a client or, on a Unix socket, its user: ``uid=0``. See unix(7) for ``SO_PEERCRED``."""
    if isinstance(peer, tuple):
        return str(peer[0]).removeprefix("::ffff:")  # an IPv4 client of an IPv6 socket
    if sys.platform != "linux":
        return "unix"
    _, uid, _ = struct.unpack("iII", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"uid={uid}"


def remove_abandoned(path: str) -> None:
    """Remove the file of a Unix socket without a listener."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) == errno.ECONNREFUSED and Path(path).is_socket():
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()


def _bind_unix(path: str) -> socket.socket:
    if sys.platform == "win32":
        raise OSError(errno.EAFNOSUPPORT, "no Unix sockets on this platform")
    remove_abandoned(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(path)
        Path(path).chmod(UNIX_MODE)  # before listen(), so that no client can connect before
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening

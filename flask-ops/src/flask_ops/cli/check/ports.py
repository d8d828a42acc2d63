"""Checks that the addresses of the service are free."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, ok
from flask_ops.core.address import Address


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield one finding for each address of the application and of the management listener."""
    wanted = [*deployment.binds]
    if deployment.settings.management_bind is not None:
        wanted.append(deployment.settings.management_bind)
    for position, address in enumerate(wanted):
        if any(_collide(address, other) for other in wanted[:position]):
            yield error("port", f"{address} is used twice.", "Change SERVICE_MANAGEMENT_BIND or SERVICE_BIND.")
        else:
            yield _availability(address)


def _collide(one: Address, other: Address) -> bool:
    if one.unix or other.unix:
        return one.unix == other.unix
    anywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return one.port == other.port != 0 and (one.host == other.host or bool(anywhere & {one.host, other.host}))


def _availability(address: Address) -> Finding:
    """Bind and close again. Clients do not notice, because nothing listens."""
    try:
        if address.unix:
            _try_unix(Path(address.unix))
        else:
            _try_tcp(address)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        cures = {
            errno.EADDRINUSE: "Stop the program that listens there, or use another address.",
            errno.EACCES: "Use a port from 1024 on, or a folder that this user can write to.",
            errno.ENOENT: "Create the folder of the socket first.",
        }
        return error("port", f"{address}: {reason}.", cures.get(fault.errno or 0, "Use an address of this machine."))
    return ok("port", f"{address} is free.")


def _try_tcp(address: Address) -> None:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as attempt:
        if os.name == "posix":  # on Windows this option would allow an address in use
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        attempt.bind(target)


def _try_unix(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"this user cannot write to {folder}")
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            if probe.connect_ex(str(path)) == 0:
                raise OSError(errno.EADDRINUSE, "a program listens there")

"""The processes that hold an address in use are named."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_ops.core.address import Address
from flask_ops.core.port_holders import explained, holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

HOLD = "import sys, time; time.sleep(60)  # and hold standard input"
IN_USE = OSError(errno.EADDRINUSE, "Address already in use")


@contextlib.contextmanager
def orphan(listening: socket.socket) -> Iterator[str]:
    """Leave a socket to a child, which outlives its parent in reality. Yield its description."""
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=listening.fileno())
    listening.close()
    try:
        yield f"process {child.pid} ({sys.executable} -c {HOLD})"
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_process_that_listens_on_a_port_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, 0), family=family)
    port = listening.getsockname()[1]
    with orphan(listening) as child:
        assert child == holders(Address(host, port))
        assert child == holders(Address("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        assert f"Address already in use by {child}" == explained(IN_USE, Address(host, port)).strerror
        assert "" == holders(Address("127.0.0.2" if host == "127.0.0.1" else host, port if host == "127.0.0.1" else 1))
    assert "" == holders(Address(host, port))


def test_a_process_that_listens_on_a_unix_socket_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "a socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    with orphan(listening) as child:
        assert child == holders(Address(unix=path))
        assert "" == holders(Address(unix=f"{path}2"))


def test_an_error_without_a_known_process_stays_as_it_is() -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")

    assert refused is explained(refused, Address("127.0.0.1", 80))
    assert IN_USE is explained(IN_USE, Address("127.0.0.1", 1))
    assert IN_USE is explained(IN_USE, Address("no.such.host.invalid", 80))


def test_this_process_is_not_named_and_a_long_command_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address(*listening.getsockname())
        assert "" == holders(address)
        command = [sys.executable, "-c", HOLD, "x" * 1000]
        with subprocess.Popen(command, stdin=listening.fileno()) as child:
            found = holders(address)
            child.kill()

    assert f"process {child.pid} (" in found
    assert len(found) < 300
    assert str(os.getpid()) not in found

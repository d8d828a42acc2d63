"""A client that connected before a listener closes is not reset."""

from __future__ import annotations

import errno
import select
import socket
from pathlib import Path

import psutil
import pytest

from flask_ops.core.draining import admit_no_more
from tests.process import BIN, DEADLINE, running

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_early_clients_are_served_and_late_ones_are_refused_without_reset(
    family: socket.AddressFamily, host: str
) -> None:
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as early,
        socket.socket(family) as late,
    ):
        late.setblocking(False)
        admit_no_more(listener)
        assert errno.EINPROGRESS == late.connect_ex(listener.getsockname())
        listener.settimeout(DEADLINE)
        connection, _ = listener.accept()
        with connection:
            early.sendall(b"question")
            assert b"question" == connection.recv(100)
            connection.sendall(b"answer")
            assert b"answer" == early.recv(100)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()

        assert select.select([], [late], [], DEADLINE)[1]
        assert errno.ECONNREFUSED == late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_a_unix_socket_is_left_as_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        admit_no_more(listener)
        client.connect(str(tmp_path / "socket"))
        connection, _ = listener.accept()
        connection.close()


ACTIVATING = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
pid = os.fork()
if not pid:
    if os.environ["ACTIVATED"]:
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    os.execv(sys.argv[1], sys.argv[1:])
os.waitpid(pid, 0)
listener.setblocking(True)  # Gunicorn has changed that for both
connection, _ = listener.accept()
connection.sendall(b"the next one")
"""
"""The socket outlives the service: systemd with a socket unit and other supervisors do this."""


@pytest.mark.parametrize(("activated", "options"), [("1", []), ("", ["--bind=fd://3"])])
def test_a_socket_that_outlives_the_service_is_left_as_it_is(
    activated: str, options: list[str], tmp_path: Path
) -> None:
    command: list[str | Path] = [BIN / "python", "-c", ACTIVATING, BIN / "gunicorn", *options]
    environ = {"WEB_CONCURRENCY": "1", "ACTIVATED": activated}
    with running([*command, "tests.sample:create_app()"], tmp_path, environ) as server:
        (master,) = psutil.Process(server.process.pid).children()
        master.terminate()
        master.wait(DEADLINE)

        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
            assert b"the next one" == client.recv(100)

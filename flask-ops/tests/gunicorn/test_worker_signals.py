"""A signal ends a worker that is still being forked or is loading the application."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flask_ops.servers.gunicorn.worker_signals import STOP
from tests.copies import copy_service
from tests.gunicorn.changing import ENV, HANGS
from tests.process import BIN, DEADLINE, PROJECT, started, wait_until

pytestmark = pytest.mark.system

PROGRAM = """
import os, signal, sys
from flask_ops.servers.gunicorn.worker_signals import STOP, EarlySignals

noted = []
signal.signal(STOP, lambda *_: noted.append(1))
early = EarlySignals()
# Registered later, so called earlier before the fork, and later after it: in the moment that is meant.
os.register_at_fork(before=lambda: None, after_in_child=lambda: os.kill(os.getpid(), STOP))
if sys.argv[1] == "worker":
    early.expect_worker()
child = os.fork()
if child == 0:
    os._exit(7)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os.kill(os.getpid(), STOP)
print(ended, noted)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
@pytest.mark.parametrize(("kind", "expected"), [("worker", f"{-STOP} [1]"), ("other", "7 [1]")])
def test_it_ends_the_worker_and_nothing_else(kind: str, expected: str) -> None:
    """The parent, and children that are not workers, keep their handlers. No signal stays blocked."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE, check=True
    )

    assert expected == done.stdout.strip()


def test_clients_who_wait_for_code_that_is_being_loaded_are_answered(tmp_path: Path) -> None:
    copy = copy_service(tmp_path / "copy")
    with (copy / "service" / "views.py").open("a") as views:
        views.write("import pathlib, time\npathlib.Path('is-loading').touch()\n")
        views.write("while not pathlib.Path('go').exists(): time.sleep(0.01)\n")
    with started([BIN / "gunicorn"], tmp_path, ENV, cwd=copy) as server:
        wait_until((copy / "is-loading").exists, "a worker loads it")
        (server.port,) = server.listening_ports() - {server.management_port}
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            server.process.send_signal(signal.SIGTERM)
            server.line("stopping")
            (copy / "go").touch()

            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert 0 == server.process.wait(DEADLINE)


def test_a_stop_does_not_wait_for_code_that_is_being_loaded(tmp_path: Path) -> None:
    copy = copy_service(tmp_path / "copy")
    with (copy / "service" / "views.py").open("a") as views:
        views.write(f"import pathlib\npathlib.Path('is-loaded').touch()\n{HANGS}")
    with started([BIN / "gunicorn"], tmp_path, {**ENV, "SERVICE_GRACEFUL_SECONDS": "600"}, cwd=copy) as server:
        wait_until((copy / "is-loaded").exists, "a worker loads it")

        assert 0 == server.stop()

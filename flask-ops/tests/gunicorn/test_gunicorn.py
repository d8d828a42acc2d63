"""The main server: `gunicorn` in the repository root."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.attach.servers import attached
from tests.exposition import scrape, value
from tests.namespaces import in_namespace
from tests.process import BIN, DEADLINE, running, started, wait_until

pytestmark = pytest.mark.system

ON_A_FREE_PORT = {"SERVICE_BIND": "127.0.0.1:0"}


def test_it_serves_reloads_without_a_lost_count_and_ends_at_once_on_ctrl_c(tmp_path: Path) -> None:
    """In a container with a read-only root, only the temporary directory is writable."""
    env = {**ON_A_FREE_PORT, "WEB_CONCURRENCY": "3", "HOME": "/proc"}
    with running([BIN / "gunicorn"], tmp_path, env) as server:
        wait_until(lambda: len(server.children()) == 3, "three workers")
        assert [] == server.lines(level="error")
        (directory,) = (tmp_path / "tmp").glob("service-metrics-*")
        assert 0o700 == stat.S_IMODE(directory.stat().st_mode)

        for _ in range(10):
            server.get("/")
        before = {child.pid for child in server.children()}
        server.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: len(server.children()) == 3 and before.isdisjoint(child.pid for child in server.children()),
            "new workers",
        )
        for _ in range(10):
            server.get("/")
        wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") == 20, "20 requests")

        assert 0 == server.stop(signal.SIGINT)

    assert [] == list((tmp_path / "tmp").iterdir())
    assert [] == [line for line in server.text().splitlines() if not line.startswith("{")]


COLLECTING = """
import gc
from pathlib import Path
from flask import jsonify
from tests.sample import create_app

application = create_app()

def shared():
    fields = Path("/proc/self/smaps_rollup").read_text().split()
    return int(fields[fields.index("Shared_Dirty:") + 1])

@application.get("/collect")
def collect():
    before = shared()
    gc.collect()
    return jsonify(before=before, after=shared())
"""


def test_port_and_the_command_line_overrule_the_settings(tmp_path: Path) -> None:
    """PORT means all addresses, as platforms expect."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "collecting.py").write_text(COLLECTING)
    env = {
        "PORT": str(port),
        "SERVICE_LOG_LEVEL": "warning",
        "GUNICORN_CMD_ARGS": f"--workers=1 --log-level=debug --pythonpath={tmp_path}",
    }
    secrets = ["--env", "DB_PASSWORD=hunter2", "--env", "B=two\nlines"]
    with running([BIN / "gunicorn", *secrets, "collecting:application"], tmp_path, env) as server:
        wait_until(lambda: f"http://0.0.0.0:{port}" in server.text(), "the line with the address")
        assert 1 == len(server.children())

        # At debug, Gunicorn logs its whole configuration.
        (told,) = [line["event"] for line in server.lines(level="debug") if line["event"].startswith("Current")]
        assert "raw_env: [masked]\n" in told
        assert "reload: False\n" in told
        assert "hunter2" not in server.text()

        # Garbage collection in a worker copies little shared memory. Measured: 99 percent stay shared, and 52 percent
        # without gc.freeze() in the master.
        kilobytes = server.get("/collect").json()
        assert kilobytes["after"] > 0.75 * kilobytes["before"], kilobytes


IMPORTS = """
import sys
from pathlib import Path

from flask_ops.gunicorn import *


def post_fork(server, worker):
    worker.known = set(sys.modules)


def post_worker_init(worker):
    new = {name.partition(".")[0] for name in set(sys.modules) - worker.known}
    Path("imported").write_text(" ".join(sorted(new)))
"""


def test_a_worker_imports_only_the_application(tmp_path: Path) -> None:
    """The master has imported the rest. Otherwise each worker would import Flask, and the start would take longer."""
    (tmp_path / "own.conf.py").write_text(IMPORTS)
    (tmp_path / "small.py").write_text("import flask\nfrom flask_ops import Ops\nOps(app := flask.Flask('small'))\n")

    with attached("small:app", tmp_path, command=[BIN / "gunicorn", "-c", "own.conf.py"]):
        assert "small" == (tmp_path / "imported").read_text()


def test_a_unix_socket_is_served_with_the_users_directory_for_metrics(tmp_path: Path) -> None:
    path, directory = tmp_path / "socket", tmp_path / "metrics"
    directory.mkdir()
    env = {"SERVICE_BIND": f"unix:{path}", "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    with started([BIN / "gunicorn"], tmp_path, env) as server:
        wait_until(path.exists, "the socket")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert list(directory.glob("*.db"))
        server.stop()

    assert directory.is_dir()


def test_a_port_that_is_taken_ends_the_start_in_json(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": f"127.0.0.1:{port}"}) as server:
            assert server.process.wait(DEADLINE) == 1

    assert [line for line in server.text().splitlines() if not line.startswith("{")] == []
    event = server.lines(level="error")[0]["event"]
    assert event.startswith(f"Connection in use: ('127.0.0.1', {port}) by process {os.getpid()} (")


def test_two_instances_run_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shared = {"TMPDIR": str(tmp_path), **ON_A_FREE_PORT}

    with (
        running([BIN / "gunicorn"], tmp_path / "a", shared) as one,
        running([BIN / "gunicorn"], tmp_path / "b", shared) as two,
    ):
        for _ in range(5):
            one.get("/")
        wait_until(lambda: len(one.lines("request", route="/")) == 5, "five lines")
        assert value(scrape(one), "flask_http_request_total", route="/") == 5
        assert value(scrape(two), "flask_http_request_total", route="/") == 0
        assert one.stop() == 0
        two.get("/")
        wait_until(lambda: value(scrape(two), "flask_http_request_total", route="/") == 1, "the other one goes on")


WITHOUT_MEMORY = """
mount -t tmpfs -o ro tmpfs /dev/shm
exec {program}
"""


def test_without_a_writable_folder_in_memory_heartbeats_are_on_disk(tmp_path: Path) -> None:
    """A folder that somebody chose must be writable."""
    program = str(BIN / "gunicorn")
    with running(in_namespace(WITHOUT_MEMORY.format(program=program)), tmp_path, ON_A_FREE_PORT) as server:
        assert 200 == server.get("/").status
    command = in_namespace(WITHOUT_MEMORY.format(program=f"{program} --worker-tmp-dir=/dev/shm"))
    (tmp_path / "chosen").mkdir()
    with started(command, tmp_path / "chosen", ON_A_FREE_PORT) as server:
        assert 78 == server.process.wait(DEADLINE)
        line = server.line(level="critical")
        assert ("worker_tmp_dir cannot be used", "/dev/shm") == (line["event"], line["directory"])  # noqa: S108 - read-only
        assert "Read-only file system" in line["reason"]
        assert "Traceback" not in server.text()


def test_preloading_is_refused_with_its_reason(tmp_path: Path) -> None:
    """The threads that run checks and publish results would exist in the master alone."""
    with started([BIN / "gunicorn", "--preload"], tmp_path, ON_A_FREE_PORT) as server:
        assert 78 == server.process.wait(DEADLINE)
        assert "preload_app cannot be used" == server.line(level="critical")["event"]
        assert "Traceback" not in server.text()


def test_a_configuration_that_is_not_ours_is_warned_of(tmp_path: Path) -> None:
    """Each worker would show only its own numbers."""
    (tmp_path / "other.conf.py").write_text('wsgi_app = "service.app:create_app()"\n')
    with running(
        [BIN / "gunicorn", "--config", str(tmp_path / "other.conf.py"), "--bind=127.0.0.1:0", "--workers=2"],
        tmp_path,
        {},
    ) as server:
        server.get("/")
        assert "warning" == server.line("each worker shows its own metrics only")["level"]

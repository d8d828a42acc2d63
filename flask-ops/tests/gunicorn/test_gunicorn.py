"""The main server: `gunicorn` in the repository root."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, running, started, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

ON_A_FREE_PORT = {"SERVICE_BIND": "127.0.0.1:0"}


def test_it_starts_as_many_workers_as_web_concurrency_says(tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {**ON_A_FREE_PORT, "WEB_CONCURRENCY": "3"}) as server:
        wait_until(lambda: len(server.children()) == 3, "three workers")


def test_port_means_all_addresses_as_platforms_expect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with running([BIN / "gunicorn"], tmp_path, {"PORT": str(port)}) as server:
        wait_until(lambda: f"http://0.0.0.0:{port}" in server.text(), "the line with the address")


def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with started([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": f"unix:{path}"}):
        wait_until(path.exists, "the socket")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_a_port_that_is_taken_ends_the_start_in_json(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": f"127.0.0.1:{port}"}) as server:
            assert server.process.wait(DEADLINE) == 1

    assert [line for line in server.text().splitlines() if not line.startswith("{")] == []
    assert f"Connection in use: ('127.0.0.1', {port})" in [line["event"] for line in server.lines(level="error")]


def test_what_is_set_by_env_is_no_secret_of_the_log(tmp_path: Path) -> None:
    """At debug, Gunicorn logs its whole configuration."""
    command: list[str | Path] = [BIN / "gunicorn", "--env", "DB_PASSWORD=hunter2", "--env", "B=two\nlines"]
    with running(command, tmp_path, {**ON_A_FREE_PORT, "SERVICE_LOG_LEVEL": "debug"}) as server:
        (told,) = [line["event"] for line in server.lines(level="debug") if line["event"].startswith("Current")]

    assert "raw_env: [masked]\n" in told
    assert "reload: False\n" in told
    assert "hunter2" not in server.text()


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


def test_a_read_only_home_and_working_directory_do_not_matter(tmp_path: Path) -> None:
    """In a container with a read-only root, only the temporary directory is writable."""
    with running([BIN / "gunicorn"], tmp_path, {**ON_A_FREE_PORT, "HOME": "/proc"}) as server:
        assert server.lines(level="error") == []


def test_a_directory_for_metrics_that_the_user_has_set_is_used(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()

    with running(
        [BIN / "gunicorn"], tmp_path, {**ON_A_FREE_PORT, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    ) as server:
        server.get("/")
        assert list(directory.glob("*.db"))
        server.stop()

    assert directory.is_dir()


def test_the_store_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, ON_A_FREE_PORT):
        (directory,) = (tmp_path / "tmp").glob("service-metrics-*")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_reload_loses_no_count(tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {**ON_A_FREE_PORT, "WEB_CONCURRENCY": "2"}) as server:
        for _ in range(10):
            server.get("/")
        before = {child.pid for child in server.children()}
        server.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: len(server.children()) == 2 and before.isdisjoint(child.pid for child in server.children()),
            "new workers",
        )
        for _ in range(10):
            server.get("/")

        wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") == 20, "20 requests")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_ends_it_at_once_and_cleanly(number: int, tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, ON_A_FREE_PORT) as server:
        assert server.stop(number) == 0

    assert list((tmp_path / "tmp").iterdir()) == []
    assert [line for line in server.text().splitlines() if not line.startswith("{")] == []


def test_a_sync_worker_that_is_stopped_for_its_timeout_reports_the_request(tmp_path: Path) -> None:
    with serve("gunicorn-sync", tmp_path, options=["--timeout", "1"]) as server:
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.get("/slow?s=60")

        line = server.line("request", route="/slow")
        assert (line["level"], line["status"], line["outcome"]) == ("error", 500, "aborted")
        assert server.get("/").status == 200


def test_many_idle_connections_do_not_keep_a_new_one_waiting(tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {**ON_A_FREE_PORT, "WEB_CONCURRENCY": "2"}) as server:
        idle = []
        try:
            for _ in range(30):
                client = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
                idle.append(client)
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
            assert server.get("/healthz").status == 200
        finally:
            for client in idle:
                client.close()


def test_the_command_line_overrules_the_settings(tmp_path: Path) -> None:
    env = {**ON_A_FREE_PORT, "GUNICORN_CMD_ARGS": "--workers=1 --log-level=warning"}
    with running([BIN / "gunicorn"], tmp_path, env) as server:
        assert len(server.children()) == 1
        assert server.lines("Starting gunicorn 27.0.1") == []


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


def test_garbage_collection_in_a_worker_copies_little_shared_memory(tmp_path: Path) -> None:
    """Measured: 99 percent stay shared, and 52 percent without gc.freeze() in the master."""
    (tmp_path / "collecting.py").write_text(COLLECTING)
    command: list[str | Path] = [BIN / "gunicorn", f"--pythonpath={tmp_path}", "--workers=1", "collecting:application"]
    with running(command, tmp_path, ON_A_FREE_PORT) as server:
        kilobytes = server.get("/collect").json()

    assert kilobytes["after"] > 0.75 * kilobytes["before"], kilobytes


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

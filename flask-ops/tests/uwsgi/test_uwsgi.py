"""uWSGI, configured by deploy/uwsgi.ini."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.exposition import value
from tests.ports import free_port
from tests.process import BIN, DEADLINE, REPOSITORY, Server, running, started, wait_until
from tests.servers import COMMANDS, UWSGI, serve


def pid(server: Server) -> int:
    return int(server.get("/whoami").json()["pid"])


def workers(server: Server) -> set[int]:
    """Wait until both workers have answered: a worker that still starts misses a reload."""
    seen: set[int] = set()

    def both() -> bool:
        with ThreadPoolExecutor(8) as pool:
            seen.update(pool.map(lambda _: pid(server), range(16)))
        return len(seen) == 2

    wait_until(both, "both workers answer")
    return seen


def test_a_hangup_starts_anew_and_costs_no_request(tmp_path: Path) -> None:
    addresses = ("SERVICE_BIND", "SERVICE_MANAGEMENT_BIND")
    here = {name: f"127.0.0.1:{free_port()}" for name in addresses}  # port 0 would be another port after a reload
    with serve("uwsgi", tmp_path, here) as server, ThreadPoolExecutor(5) as pool:
        before = workers(server)
        slow = pool.submit(server.get, "/slow?s=1.5")
        server.line("slow view")
        served: list[int] = []
        enough = threading.Event()

        def ask() -> None:
            while not enough.is_set():
                served.append(pid(server))

        clients = [pool.submit(ask) for _ in range(4)]
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(set(served) - before) == 2, "both new workers serve")
        enough.set()
        for client in clients:
            client.result(DEADLINE)  # raises if a request has failed

        assert 200 == slow.result(DEADLINE).status
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        assert 1 <= value(server.get("/metrics").body.decode(), "flask_http_request_total", route="/whoami")
        assert 0 == server.stop()
    assert [] == list((tmp_path / "tmp").iterdir())


def test_a_worker_is_replaced_only_if_requests_hold_all_its_threads(tmp_path: Path) -> None:
    """Harakiri has one deadline per worker, and each request that ends clears it."""
    limit, beyond = 3, 7
    command = [*COMMANDS["uwsgi"], f"--harakiri={limit}"]
    env = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1", "SERVICE_THREADS": "2"}
    with running(command, tmp_path, env) as server, ThreadPoolExecutor(2) as pool:
        first = pid(server)
        long = pool.submit(server.get, f"/slow?s={beyond}")
        while not long.done():
            pid(server)
        assert 200 == long.result().status
        assert first == pid(server)

        began = time.monotonic()
        held = [pool.submit(server.get, f"/slow?s={DEADLINE}") for _ in range(2)]
        for request in held:
            with pytest.raises((OSError, http.client.HTTPException)):
                request.result(DEADLINE)

        assert time.monotonic() - began < DEADLINE / 2, "not ended by the test itself"
        assert first != wait_until(lambda: pid(server), "another worker")


def test_a_response_whose_worker_is_killed_looks_incomplete(tmp_path: Path) -> None:
    """uWSGI ends a complete response of unknown length by closing its connection."""
    with serve("uwsgi", tmp_path, {"WEB_CONCURRENCY": "1"}) as server:
        (worker,) = server.children()
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
            client.sendall(b"GET /stream-endless HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.recv(65536)
            worker.kill()
            with pytest.raises(ConnectionResetError):
                deque(iter(partial(client.recv, 65536), b""), maxlen=0)


@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_to_all_processes_cuts_off_no_request(times: int, tmp_path: Path) -> None:
    """Supervisors do this when they signal a whole process group. Heroku does it several times within 0.3 s."""
    with serve("uwsgi", tmp_path) as server, ThreadPoolExecutor(8) as pool:
        everyone = [*workers(server), server.process.pid]
        slow = [pool.submit(server.get, "/slow?s=1") for _ in range(8)]
        wait_until(lambda: len(server.lines("slow view")) == 8, "each thread serves a request")
        for _ in range(times):
            for each in everyone:
                os.kill(each, signal.SIGTERM)

        assert [200] * 8 == [each.result(DEADLINE).status for each in slow]
        assert 0 == server.process.wait(DEADLINE)


def test_sigterm_to_one_worker_replaces_it(tmp_path: Path) -> None:
    with serve("uwsgi", tmp_path, {"WEB_CONCURRENCY": "1"}) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.get, "/slow?s=1")
        server.line("slow view")
        (worker,) = server.children()
        worker.send_signal(signal.SIGTERM)

        assert 200 == slow.result(DEADLINE).status
        wait_until(lambda: pid(server) != worker.pid, "another worker")


@pytest.mark.parametrize(("programs", "is_wheel"), [(["python"], False), (["python", "pyuwsgi"], True)])
def test_only_the_wheel_is_told_where_it_is(programs: list[str], is_wheel: bool, tmp_path: Path) -> None:
    """A uWSGI installed as a program does not use the Python of .venv."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in programs:
        (tmp_path / ".venv/bin" / name).touch()
    copied = shutil.copytree(REPOSITORY / "deploy", tmp_path / "deploy")
    with started([BIN / "uwsgi", "--ini", copied / "uwsgi.ini"], tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}) as server:
        assert 22 == server.process.wait(DEADLINE), "there is no application there"

    (path,) = re.findall("^detected binary path: (.*)$", server.text(), re.MULTILINE)
    assert is_wheel == (path == f"{copied}/../.venv/bin/python")


def test_a_user_s_variables_remove_nothing(tmp_path: Path) -> None:
    """The variable names another server's store, while ours is elsewhere."""
    other, own = tmp_path / "service-metrics-other", tmp_path / "own"
    other.mkdir()
    environ = {"METRICS_STORE_TO_REMOVE": str(other), "PROMETHEUS_MULTIPROC_DIR": str(own)}

    with serve("uwsgi", tmp_path, environ) as server:
        workers(server)
        assert 0 == server.stop()

    assert other.is_dir()
    assert own.is_dir()


def test_standard_output_is_json_alone(tmp_path: Path) -> None:
    """uWSGI's own lines go to standard error."""
    error = tmp_path / "error"
    command = ["sh", "-c", f'exec "$0" "$@" 2>{error}', *UWSGI, "--module", "tests.uwsgi_sample:application"]
    with running(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}) as server:
        workers(server)
        server.get("/boom")
        assert 0 == server.stop()

    lines = [json.loads(line) for line in server.text().splitlines()]
    assert {"management listening", "request", "unhandled exception"} == {line["event"] for line in lines}
    assert "spawned uWSGI worker 1" in error.read_text()


POSTFORK = """
import time
{before}
from tests.uwsgi_sample import application
from uwsgidecorators import postfork

@postfork
def start_slowly():
    time.sleep(1)
    print("started slowly", flush=True)
"""


def slow_to_start(before: str, directory: Path) -> list[str | Path]:
    (directory / "slow.py").write_text(POSTFORK.format(before=before))
    return [*UWSGI, "--module", "slow", "--pythonpath", directory]


def test_a_worker_that_is_told_to_stop_while_it_starts_does_so(tmp_path: Path) -> None:
    """Otherwise, its master would wait for it forever."""
    command = [*slow_to_start("", tmp_path), "--hook-master-start=print:its SIGTERM is set"]
    with started(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}) as server:
        wait_until(lambda: "its SIGTERM is set" in server.text().splitlines(), "the master has its handler")
        assert "started slowly" not in server.text()

        assert 0 == server.stop()

    assert 2 == server.text().count("started slowly")


@pytest.mark.parametrize("before", ["", "import uwsgidecorators"])
def test_an_adopter_s_own_postfork_functions_leave_the_metrics_exact(before: str, tmp_path: Path) -> None:
    command = slow_to_start(before, tmp_path)
    with running(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}) as server:
        workers(server)

        def counted() -> float:
            return value(server.get("/metrics").body.decode(), "flask_http_request_total", route="/whoami")

        wait_until(lambda: counted() == len(server.lines("request", route="/whoami")), "each line is counted")

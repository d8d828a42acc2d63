"""Probes and scrapes get true answers from outside the worker pool."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from flask_ops.core.http import Request, Response, Shared
from flask_ops.core.settings import Settings
from flask_ops.health import Status
from flask_ops.health.readiness import Readiness
from flask_ops.management.routes import Management
from tests.exposition import value
from tests.process import BIN, DEADLINE, PROJECT, Server, clean_environ, running, started, wait_until
from tests.servers import COMMANDS, serve

pytestmark = pytest.mark.system

SERVERS = ["gunicorn", "waitress", "uwsgi"]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serve(request.param, tmp_path) as running_server:
        wait_until(lambda: running_server.manage("/readyz").status == 200, "ready")
        yield running_server


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """Keep every thread of the service busy, and some requests waiting, during the block."""

    def ask() -> None:
        with contextlib.suppress(OSError):
            server.get("/slow?s=8")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(24)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(server.lines("slow view")) >= 4, "requests are being served")
    yield


def probe(server: Server, count: int) -> list[float]:
    """Request liveness, readiness and metrics in turn, and return the response times."""
    seconds = []
    for number in range(count):
        begin = time.monotonic()
        assert 200 == server.manage(["/livez", "/readyz", "/metrics"][number % 3]).status
        seconds.append(time.monotonic() - begin)
    return seconds


def test_it_answers_though_every_thread_is_busy(server: Server) -> None:
    with busy(server):
        assert 30 == len(probe(server, 30))
        text = server.manage("/metrics").body.decode()
        threads = value(text, "service_worker_threads")
        wait_until(
            lambda: value(server.manage("/metrics").body.decode(), "service_requests_in_flight") == threads,
            "every thread is seen to be busy",
        )


def test_it_answers_though_500_silent_connections_are_open_on_the_applications_port(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        assert 30 == len(probe(server, 30))


def test_it_answers_though_nobody_reads_the_log(tmp_path: Path) -> None:
    env = {
        **clean_environ(),
        "SERVICE_BIND": "127.0.0.1:0",
        "SERVICE_MANAGEMENT_BIND": f"unix:{tmp_path / 'management'}",
        "TMPDIR": str(tmp_path),
    }
    with subprocess.Popen([BIN / "gunicorn"], cwd=PROJECT, env=env, stdout=subprocess.PIPE) as process:
        try:
            server = Server(process, tmp_path / "none")
            wait_until(lambda: (tmp_path / "management").exists() and len(server.listening_ports()) == 1, "it listens")
            (server.port,) = server.listening_ports()
            wait_until(lambda: server.get("/readyz").status == 200, "ready")
            answered: list[bytes] = []

            def ask() -> None:  # 25 lines of more than 1000 bytes, from eight threads, fill a pipe three times
                for _ in range(25):
                    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
                        client.sendall(b"GET /" + b"x" * 3000 + b" HTTP/1.0\r\n\r\n")
                        answered.append(client.recv(12))

            threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            assert answered == [b"HTTP/1.0 404"] * 200

            for path in ("/livez", "/readyz", "/metrics") * 5:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(DEADLINE)
                    client.connect(str(tmp_path / "management"))
                    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    assert client.recv(1000).startswith(b"HTTP/1.1 200")
        finally:
            for child in server.children():
                child.kill()
            process.kill()


def test_liveness_says_why_when_all_workers_hang_and_recovers(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        wait_until(lambda: len(server.children()) == 2, "two workers")
        workers = server.children()
        try:
            for worker in workers:
                worker.suspend()
            wait_until(lambda: server.manage("/livez").status == 503, "not alive", 30)
            assert "no worker has given a sign of life" in server.manage("/livez").json()["reason"]
        finally:
            for worker in workers:
                worker.resume()
        wait_until(lambda: server.manage("/livez").status == 200, "alive again")


def test_it_survives_whatever_happens_to_the_workers(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        stop, failures, answered = threading.Event(), [], [0]

        def ask() -> None:
            while not stop.is_set():
                try:
                    assert 200 == server.manage("/livez").status
                    answered[0] += 1
                except (OSError, AssertionError) as error:
                    failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
                before = {child.pid for child in server.children()}
                server.process.send_signal(number)
                wait_until(lambda: {child.pid for child in server.children()} != before, "other workers")  # noqa: B023 - called at once
            os.kill(server.children()[0].pid, signal.SIGKILL)
            wait_until(lambda: answered[0] > 200, "200 probes")
        finally:
            stop.set()
            thread.join(DEADLINE)

        assert [] == failures


def test_old_and_new_master_share_the_address_and_no_probe_is_lost(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        port = server.management_port
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(server.lines("management listening")) == 2, "the new master")
        assert port == server.management_port
        successor = wait_until(
            lambda: next((child for child in server.children() if len(child.children()) == 2), None), "its workers"
        )
        assert successor is not None
        try:
            for _ in range(50):
                assert 200 == server.manage("/livez").status
            server.process.send_signal(signal.SIGTERM)
            while server.process.poll() is None:
                assert 200 == server.manage("/livez").status
            assert successor.pid == server.manage("/info").json()["pid"]
        finally:
            successor.terminate()
            successor.wait(DEADLINE)
    with pytest.raises(ConnectionRefusedError):
        server.manage("/livez")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_server_and_leaves_no_port_bound(server: Server, number: int) -> None:
    port = server.management_port
    children = server.children()
    server.process.send_signal(number)
    server.process.wait(DEADLINE)
    wait_until(lambda: not any(child.is_running() for child in children), "the workers end")

    with socket.create_server(("127.0.0.1", port)):
        pass


def test_clients_that_read_nothing_do_not_exhaust_the_descriptors(tmp_path: Path) -> None:
    """256 is the default limit of macOS. The master opens files in each loop, and so does each scrape."""
    command = ["prlimit", "--nofile=256", *COMMANDS["gunicorn"]]
    env = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}
    with running(command, tmp_path, env, ready="/readyz") as server:
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.management_port), DEADLINE))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            for _ in range(10):
                assert 200 == server.manage("/livez").status
            assert 200 == server.manage("/metrics").status
        assert 2 == len(server.children())
        assert [] == server.lines(level="critical")


def test_readiness_follows_the_checks_of_the_workers(tmp_path: Path) -> None:
    marker = tmp_path / "down"
    with serve("gunicorn", tmp_path, {"SAMPLE_DOWN_IF_EXISTS": str(marker)}) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        marker.touch()
        wait_until(lambda: server.manage("/readyz").status == 503, "not ready")
        down = server.manage("/readyz").json()
        assert "down" == down["status"] == down["checks"]["marker"]["status"]
        assert 200 == server.manage("/livez").status
        wait_until(
            lambda: value(server.manage("/metrics").body.decode(), "service_health_check_up", check="marker") == 0,
            "the metric",
        )


def test_info_says_what_runs_and_its_metrics_are_those_of_the_applications_port(server: Server) -> None:
    def names(text: str) -> set[str]:
        return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}

    info = server.manage("/info").json()
    assert {"name", "version", "mode", "server", "python", "pid"} == set(info)
    assert "production" == info["mode"]
    wait_until(lambda: "duration_seconds_count" in server.get("/metrics").body.decode(), "a first observation")
    assert names(server.get("/metrics").body.decode()) == names(server.manage("/metrics").body.decode())


def test_metrics_can_be_taken_off_the_applications_port(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_METRICS_ON_APP": "false"}) as server:
        assert 404 == server.get("/metrics").status
        assert 200 == server.manage("/metrics").status


@pytest.mark.parametrize("name", SERVERS)
def test_an_empty_address_turns_it_off(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, {"SERVICE_MANAGEMENT_BIND": ""}) as server:
        assert {server.port} == server.listening_ports()


@pytest.mark.parametrize(
    "command",
    [
        [BIN / "gunicorn"],
        [BIN / "python", "-m", "service"],
        [BIN / "python", "-m", "flask_ops", "serve", "service.app:create_app()"],
        COMMANDS["uwsgi"],
    ],
    ids=["gunicorn", "python -m service", "waitress", "uwsgi"],
)
def test_an_address_that_is_taken_ends_the_start_with_one_message(command: list[str | Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        env = {"SERVICE_ENV": "production", "SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": bind}
        with started(command, tmp_path, env) as server:
            assert 1 == server.process.wait(DEADLINE)
            line = server.line("cannot listen for management")
            assert bind == line["bind"]
            assert line["reason"].startswith(f"Address already in use by process {os.getpid()} (")
            assert "Traceback" not in server.text()


def ask(
    path: str, method: str = "GET", *, fault: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    settings = Settings.from_environ({})
    management = Management(
        settings, lambda: fault, lambda _: Readiness(Status.STARTING, {}), dict, dict, server="gunicorn"
    )
    response = management.answer(Request(method, path, "", headers or {}, b""))
    assert isinstance(response, Response)
    return response.status, dict(response.headers), response.body


def test_all_that_wait_for_metrics_or_status_at_one_time_share_one_collection() -> None:
    """Clients that invent queries and formats delay the next scrape by few answers. Its metrics are of its time."""
    collections: list[int] = []

    def collect() -> dict[str, Metric]:
        collections.append(len(collections))
        return {"up": GaugeMetricFamily("up", "Up.", value=len(collections))}

    settings = Settings.from_environ({})
    management = Management(
        settings, lambda: None, lambda _: Readiness(Status.OK, {}), collect, dict, server="gunicorn"
    )

    def promised(query: str, accept: str = "*/*", path: str = "/metrics") -> Shared:
        found = management.answer(Request("GET", path, query, {"accept": accept}, b""))
        assert isinstance(found, Shared)
        return found

    kinds = ("text/plain", "application/openmetrics-text")
    formats = [f"{kind};version=1.0.{number}" for kind in kinds for number in range(100)]
    plain = [promised("", accept) for accept in formats] + [promised(f"a={number}") for number in range(100)]
    named = [promised(f"name[]=up&name[]={number}") for number in range(10)]
    page = promised("", path="/status")
    assert 3 == len({each.key for each in plain})  # the versions 0.0.4 and 1.0.0 of text, and 1.0.0 of OpenMetrics
    assert [False, True] == [any(each.unbounded for each in some) for some in (plain, named)]

    assert all(b"\nup 1.0\n" in each.make().body for each in [*named, *plain])
    assert 200 == page.make().status
    later = promised("")
    assert b"\nup 2.0\n" in later.make().body
    assert 2 == len(collections)


def test_it_is_neither_alive_nor_ready_without_a_worker() -> None:
    status, _, body = ask("/livez", fault="no worker is alive")

    assert 503 == status == ask("/readyz")[0]
    assert b"no worker is alive" in body


def test_what_it_does_not_answer_is_a_problem() -> None:
    for path, method, status in [("/nope", "GET", 404), ("/livez", "POST", 405), ("/drain", "GET", 405)]:
        answered, headers, _ = ask(path, method)
        assert status == answered
        assert "application/problem+json" == headers["Content-Type"]
        assert (status == 405) == ("Allow" in headers)


def test_a_page_of_another_site_can_only_read() -> None:
    """Any site can make a visitor's browser call loopback."""
    for sent in ({"origin": "http://other.example"}, {"sec-fetch-site": "cross-site"}):
        for path, method in [("/drain", "POST"), ("/resume", "POST"), ("/loglevel", "PUT")]:
            assert 403 == ask(path, method, headers=sent)[0]
        assert 200 == ask("/info", headers=sent)[0]


def test_the_development_server_has_none(tmp_path: Path) -> None:
    with running([BIN / "python", "-m", "service"], tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}) as server:
        assert {server.port} == server.listening_ports()

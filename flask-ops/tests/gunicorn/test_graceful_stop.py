"""A stop in phases, as seen by a load balancer, a client and an operator, for Gunicorn and Waitress."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.checks import CHECKS
from tests.exposition import value
from tests.process import DEADLINE, Answer, Server, end_drain, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

SERVERS = ["gunicorn", "waitress"]
LONG = {"SERVICE_DRAIN_SECONDS": "3600"}
"""A drain that lasts until the test ends it."""


@contextmanager
def keep_alive(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    try:
        yield connection
    finally:
        connection.close()


def get(connection: http.client.HTTPConnection, path: str = "/whoami") -> Answer:
    connection.request("GET", path)
    with connection.getresponse() as response:
        return Answer(response.status, response.headers, response.read())


def held(directory: Path) -> str:
    """Return the path of a request that runs until the test releases it."""
    return f"/slow?s=60&until={directory / 'release'}"


def release(directory: Path) -> None:
    (directory / "release").touch()


def in_flight(server: Server) -> float:
    return value(server.manage("/metrics").body.decode(), "service_requests_in_flight")


def drain(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.line("draining")


@pytest.mark.parametrize("name", SERVERS)
def test_while_it_drains_it_is_not_ready_and_answers_everything(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, LONG) as server, keep_alive(server) as client:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        assert "close" != get(client).headers.get("Connection", "keep-alive").lower()

        drain(server)

        for answer in (server.get("/readyz"), server.manage("/readyz")):
            assert 503 == answer.status
            assert "draining" == answer.json()["status"]
        assert 200 == server.manage("/livez").status
        assert 1 == value(server.manage("/metrics").body.decode(), "service_draining")
        last = get(client)
        assert (200, "close") == (last.status, last.headers["Connection"].lower())
        for _ in range(20):
            assert 200 == server.get("/healthz").status
        assert 409 == server.manage("/resume", "POST").status
        probes = wait_until(lambda: server.lines("request", route="/readyz", status=503), "the probe's line")
        assert {"info"} == {line["level"] for line in probes}, "a deployment is no error"


@pytest.mark.parametrize(
    ("name", "second"),
    [("gunicorn", signal.SIGTERM), ("gunicorn", signal.SIGINT), ("waitress", signal.SIGTERM)],
)
def test_a_second_signal_ends_the_drain_and_what_is_in_flight_is_finished(
    name: str, second: signal.Signals, tmp_path: Path
) -> None:
    with serve(name, tmp_path, LONG) as server, keep_alive(server) as client:
        drain(server)
        client.request("GET", held(tmp_path))
        server.line("slow view")
        wait_until(lambda: in_flight(server) == 1, "it alone is in flight, and was published")

        end_drain(server, second)
        release(tmp_path)

        assert 200 == client.getresponse().status
        assert 0 == server.process.wait(DEADLINE)
        phases = [line["event"] for line in server.lines() if line["event"] in {"draining", "stopping", "stopped"}]
        assert ["draining", "stopping", "stopped"] == phases
        assert 1 == server.line("stopping")["requests_in_flight"]
        assert 0 == server.line("stopped")["requests_unfinished"]


@pytest.mark.parametrize("name", SERVERS)
def test_the_drain_ends_by_itself_and_probes_are_answered_until_the_very_end(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, {"SERVICE_DRAIN_SECONDS": "1.5"}) as server, keep_alive(server) as client:
        client.request("GET", held(tmp_path))
        server.line("slow view")
        drain(server)
        answered = 0
        with contextlib.suppress(ConnectionRefusedError):  # any other error would be a lost request
            while True:
                assert 200 == server.manage("/livez").status
                assert 503 == server.manage("/readyz").status
                assert 200 == server.get("/whoami").status
                answered += 1
        assert answered > 0
        assert 1.5 == pytest.approx(server.line("draining")["seconds"], abs=0.01)

        server.line("stopping")
        release(tmp_path)
        with contextlib.suppress(ConnectionError):
            while True:
                assert 200 == server.manage("/livez").status

        readable, _, _ = select.select([client.sock], [], [], 0)
        assert readable, "the request was answered before"
        assert 200 == client.getresponse().status
        assert 0 == server.process.wait(DEADLINE)


def test_what_waits_in_the_kernels_queue_is_answered(tmp_path: Path) -> None:
    options = ["--workers=1", "--threads=1", "--worker-connections=4"]
    with serve("gunicorn", tmp_path, {"SERVICE_THREADS": "1"}, options) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) for _ in range(24)]
        for client in clients:
            client.sendall(f"GET {held(tmp_path)} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        server.line("slow view")

        server.process.send_signal(signal.SIGTERM)
        server.line("stopping")
        release(tmp_path)

        for client in clients:
            with client, client.makefile("rb") as stream:
                assert stream.read().startswith(b"HTTP/1.1 200 OK")
        assert 0 == server.process.wait(DEADLINE)
        assert 0 == server.line("stopped")["requests_unfinished"]


@pytest.mark.parametrize("name", SERVERS)
def test_what_does_not_end_in_time_has_its_line_and_is_counted(name: str, tmp_path: Path) -> None:
    with (
        serve(name, tmp_path, {"SERVICE_GRACEFUL_SECONDS": "1"}) as server,
        keep_alive(server) as slow,
        keep_alive(server) as stream,
    ):
        slow.request("GET", "/slow?s=60")
        stream.request("GET", "/stream-endless")  # the client does not read the stream
        wait_until(lambda: in_flight(server) == 2, "they are in flight, and were published")
        server.process.send_signal(signal.SIGTERM)

        assert 0 == server.process.wait(DEADLINE)
        assert 2 == server.line("stopped")["requests_unfinished"]
        for route in ("/slow", "/stream-endless"):
            line = server.line("request", route=route)
            assert (500, "aborted", "error") == (line["status"], line["outcome"], line["level"])
        assert [] == server.lines("request is stuck")


def test_sigint_stops_without_a_drain(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, LONG) as server:
        assert 0 == server.stop(signal.SIGINT)
        assert [] == server.lines("draining")


def test_a_store_that_is_gone_is_no_reason_not_to_drain(tmp_path: Path) -> None:
    """The assertions count the lines left. A worker creates the folder again within half a second."""
    with serve("gunicorn", tmp_path, {"SERVICE_DRAIN_SECONDS": "1"}, ready="/readyz") as server:
        wait_until(lambda: len(server.lines("readiness check passed")) == 2 * len([*CHECKS]), "each worker is ready")
        (store,) = (tmp_path / "tmp").glob("service-metrics-*")
        shutil.rmtree(store)
        server.children()[0].kill()  # the master then reads the worker's files in the folder
        wait_until(lambda: server.lines("worker ended", reason="signal"), "the worker has ended")
        assert 0 == server.stop()
        for event in ("draining", "stopping", "stopped"):
            server.line(event)
        assert [] == server.lines(level="critical")


def test_after_an_upgrade_the_old_master_stops_without_a_drain(tmp_path: Path) -> None:
    """Both masters serve the same addresses. An unready old master would turn away the clients of the new one."""
    with serve("gunicorn", tmp_path, LONG) as server:
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(server.lines("Starting gunicorn 27.0.1")) == 2, "a second master")
        wait_until(lambda: len(server.children()) == 5, "its workers")
        wait_until(lambda: len(server.lines("readiness check passed")) == 4 * len([*CHECKS]), "each worker is ready")

        server.process.send_signal(signal.SIGTERM)

        while server.process.poll() is None:
            assert 200 == server.get("/readyz").status
            assert 200 == server.manage("/readyz").status
        assert [] == server.lines("draining")
        (new_master,) = [line["pid"] for line in [server.manage("/info").json()]]
        assert new_master != server.process.pid
        end(new_master)
        wait_until(lambda: len(server.lines("stopped")) == 2, "both have stopped")


def end(pid: int) -> None:
    """End a master that has become another process's child."""
    os.kill(pid, signal.SIGINT)


@pytest.mark.parametrize("name", [*SERVERS, "uwsgi"])
def test_an_operator_drains_and_resumes(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")

        assert "draining" == server.manage("/drain", "POST").json()["status"]
        for answer in (server.get("/readyz"), server.manage("/readyz")):
            assert (503, "draining") == (answer.status, answer.json()["status"])
        answer = server.get("/whoami")
        assert (200, "close") == (answer.status, answer.headers["Connection"].lower())

        for path in ("/drain", "/resume"):
            for method in ("GET", "HEAD", "DELETE", "PUT"):
                answer = server.manage(path, method)
                assert (405, "POST") == (answer.status, answer.headers["Allow"])
            for header in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "cross-site"}):
                assert 403 == server.manage(path, "POST", header).status
            assert 404 == server.request("POST", path).status
        assert 503 == server.get("/readyz").status, "nothing has changed"

        assert "serving" == server.manage("/resume", "POST").json()["status"]
        assert 200 == server.get("/readyz").status
        for event in ("draining", "serving again"):
            assert "operator" == server.line(event)["asked_by"]


def test_the_time_that_an_operator_has_drained_counts(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, LONG) as server:
        server.manage("/drain", "POST")
        server.line("draining", asked_by="operator")

        server.process.send_signal(signal.SIGTERM)

        (line,) = wait_until(lambda: [line for line in server.lines("draining") if "seconds" in line], "the drain")
        assert line["seconds"] < float(LONG["SERVICE_DRAIN_SECONDS"])
        assert 0 == server.stop(signal.SIGINT)

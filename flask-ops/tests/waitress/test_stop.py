"""A stop of Waitress loses no request, although Waitress itself has no graceful stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import pytest

from tests.exposition import scrape, value
from tests.load import load
from tests.process import BIN, DEADLINE, Server, running, started, wait_until
from tests.servers import serve, waitress


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve("waitress", tmp_path) as running_server:
        yield running_server


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return the file whose creation releases the held requests."""
    return tmp_path / "release"


def held(release: Path) -> str:
    return f"/slow?s=60&until={release}"


def connect(server: Server, data: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
    client.sendall(data)
    return client


def get(path: str, version: str = "1.1", headers: str = "") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: test\r\n{headers}\r\n".encode()


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection; a reset is an error."""
    with client, client.makefile("rb") as stream:
        return stream.read()


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.line("stopping")


def assert_clean_exit(server: Server, unfinished: int = 0) -> None:
    assert server.process.wait(DEADLINE) == 0
    assert unfinished == server.line("stopped")["requests_unfinished"]


def wait_for_views(server: Server, count: int) -> None:
    wait_until(lambda: len(server.lines("slow view")) >= count, f"{count} requests are being served")


def test_requests_that_are_served_that_wait_and_that_come_late_are_answered(server: Server, release: Path) -> None:
    clients = [connect(server, get(held(release))) for _ in range(16)]
    pipelined = connect(server, get(held(release)) * 3)
    old = connect(server, get(held(release), "1.0", "Connection: keep-alive\r\n"))
    silent = connect(server)
    wait_for_views(server, 4)

    stop(server)
    silent.sendall(get("/slow?s=0"))
    release.touch()

    for client in clients:
        answer = read_to_end(client)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"Connection: close" in answer
        assert answer.endswith(b"slow")
    answer = read_to_end(pipelined)
    assert (3, 1) == (answer.count(b"HTTP/1.1 200 OK"), answer.count(b"Connection: close"))
    answer = read_to_end(old)
    assert b"Connection: close" in answer
    assert b"Keep-Alive" not in answer
    assert read_to_end(silent).endswith(b"slow")
    assert_clean_exit(server)


def test_connections_that_the_kernel_has_queued_are_answered(tmp_path: Path, release: Path) -> None:
    with running(waitress(connection_limit=8), tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}) as server:
        clients = [connect(server, get(held(release))) for _ in range(40)]
        wait_for_views(server, 4)

        stop(server)
        release.touch()

        assert sum(read_to_end(client).endswith(b"slow") for client in clients) == 40
        assert_clean_exit(server)


def test_a_stop_under_overload_answers_every_request(tmp_path: Path) -> None:
    """Forty clients for one thread: most are refused, but each gets an answer."""
    env = {"SERVICE_THREADS": "1", "SERVICE_QUEUE_SECONDS": "0.5", "SERVICE_LOG_LEVEL": "info"}
    with serve("waitress", tmp_path, env) as server:
        with load(server, *["/slow?s=0.01"] * 10, pauses=[0.0]) as seen:
            wait_until(lambda: value(scrape(server), "service_requests_shed_total"), "requests are refused")
            stop(server)
            assert_clean_exit(server)

        assert {200, 503} == set(seen), seen


def test_an_upload_under_way_is_finished(server: Server) -> None:
    client = connect(server, b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345")
    busy = connect(server, get("/slow?s=1"))  # a second: longer than a silent connection is kept
    wait_for_views(server, 1)

    stop(server)
    read_to_end(busy)
    client.sendall(b"67890")

    assert b'{"received":10}' in read_to_end(client)
    assert_clean_exit(server)


def test_a_large_response_is_sent_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(8 << 20))
    client = connect(server, get(f"/file?path={tmp_path / 'large'}"))
    client.recv(1)

    stop(server)

    assert len(read_to_end(client)) > 8 << 20
    assert_clean_exit(server)


def test_a_client_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    with serve("waitress", tmp_path, {"SERVICE_GRACEFUL_SECONDS": "1"}) as server:
        with connect(server, get("/stream-endless")) as client:
            client.recv(1)
            stop(server)
            assert_clean_exit(server, unfinished=1)
        assert server.line("request", route="/stream-endless")["outcome"] == "aborted"


def test_a_second_signal_ends_everything(server: Server) -> None:
    wait_until(lambda: server.lines("request", route="/healthz"), "nothing else is in flight")
    with connect(server, get("/slow?s=60")):
        wait_for_views(server, 1)
        stop(server)
        server.process.send_signal(signal.SIGINT)
        assert_clean_exit(server, unfinished=1)


def test_a_sigterm_that_is_repeated_at_once_does_not_end_the_drain(tmp_path: Path) -> None:
    with serve("waitress", tmp_path, {"SERVICE_DRAIN_SECONDS": "1"}) as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGTERM)
            server.line("draining")  # so that the next signal is another one
        assert_clean_exit(server)

        began, ended = (datetime.fromisoformat(server.line(event)["timestamp"]) for event in ("draining", "stopping"))
        assert 0.9 < (ended - began).total_seconds()  # the lines are written a little later


def test_idle_connections_do_not_hold_up_the_exit(server: Server) -> None:
    with connect(server), connect(server, get("/")):
        server.line("request", route="/")
        begin = time.monotonic()
        stop(server)
        assert_clean_exit(server)

    assert time.monotonic() - begin < 10  # graceful seconds are 30


def test_several_addresses_are_served_and_closed(tmp_path: Path, release: Path) -> None:
    with running(waitress(listen="127.0.0.1:0 127.0.0.1:0"), tmp_path) as server:
        wait_until(lambda: len(server.lines("listening")) == 2, "both lines")
        addresses = {line["address"] for line in server.lines("listening")}
        clients = []
        for address in addresses:
            client = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=DEADLINE)
            client.sendall(get(held(release)))
            clients.append(client)
        wait_for_views(server, 2)

        stop(server)
        release.touch()

        assert sum(read_to_end(client).endswith(b"slow") for client in clients) == 2
        assert_clean_exit(server)


def on_socket(command: Sequence[str | Path], directory: Path, path: Path) -> AbstractContextManager[Server]:
    return started(command, directory, {"SERVICE_ENV": "production", "SERVICE_BIND": f"unix:{path}"})


@pytest.mark.parametrize("tool", ["python -m service", "waitress"])
def test_a_unix_socket_is_served(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    commands: dict[str, list[str | Path]] = {
        "python -m service": [BIN / "python", "-m", "service"],
        "waitress": waitress(unix_socket=str(path)),
    }
    with on_socket(commands[tool], tmp_path, path) as server:
        assert f"unix:{path}" == server.line("listening")["address"]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path))
            client.sendall(get("/healthz"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        stop(server)
        assert_clean_exit(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_python_m_service_stops_gracefully_too(number: int, tmp_path: Path) -> None:
    env = {"SERVICE_ENV": "production", "SERVICE_BIND": "127.0.0.1:0"}
    with running([BIN / "python", "-m", "service"], tmp_path, env) as server:
        with contextlib.closing(
            connect(server, b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n1")
        ) as client:
            client.settimeout(DEADLINE)
            wait_until(lambda: server.get("/healthz").status == 200, "the upload has arrived before this")
            server.process.send_signal(number)
            assert server.line("stopping")["requests_in_flight"] >= 1
            client.sendall(b"2")
            assert client.recv(1000).startswith(b"HTTP/1.1 405")
        assert_clean_exit(server)

"""A prepared backlog: which requests are refused, under each server that can tell how long they waited."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.connections import whole_response
from tests.exposition import scrape, value
from tests.ports import free_port
from tests.process import DEADLINE, Server, started, wait_until
from tests.servers import COMMANDS, serve
from tests.threads import meanwhile

LATE = 2.0
"""The limit in seconds."""


@pytest.fixture(params=["gunicorn", "waitress"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    env = {
        "WEB_CONCURRENCY": "1",
        "SERVICE_THREADS": "1",
        "SERVICE_QUEUE_SECONDS": str(LATE),
        "SERVICE_CRITICAL_ROUTES": "/items/<int:number>, /slow",
    }
    with serve(request.param, tmp_path, env) as running_server:
        yield running_server


class Client:
    """A connection, on which requests may wait."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        self._file = self._socket.makefile("rb")
        self.since = time.monotonic()

    def ask(self, path: str, *head: str, method: str = "GET") -> None:
        self.since = time.monotonic()
        self._socket.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *head, "", ""]).encode())

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, text = line.decode().partition(": ")
            headers[name.lower()] = text
        return status, headers, b"" if method == "HEAD" else self._file.read(int(headers["content-length"]))

    def is_closed(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


Connect = Callable[[], Client]


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    with ExitStack() as clients:
        yield lambda: clients.enter_context(closing(Client(server)))


def _wait(clients: list[Client]) -> None:
    wait_until(lambda: time.monotonic() > max(client.since for client in clients) + 1.2 * LATE, "all are late")


def test_late_requests_get_503_probes_and_scrapes_do_not(server: Server, connect: Connect, tmp_path: Path) -> None:
    release = tmp_path / "release"
    occupied = connect()
    occupied.ask(f"/slow?s=60&until={release}")
    wait_until(lambda: server.lines("slow view"), "the thread is occupied")
    extra: list[list[str]] = [[]] * 12 + [["Connection: close"], ["Content-Length: 0"], ["Connection: keep-alive"]]
    late = [connect() for _ in extra]
    for number, (client, headers) in enumerate(zip(late, extra, strict=True)):
        client.ask("/", f"X-Request-ID: late-{number}", *headers)
    head = connect()
    head.ask("/", "X-Request-ID: head", method="HEAD")
    probes = [connect() for _ in range(3)]
    for probe, path in zip(probes, ("/healthz", "/readyz", "/metrics"), strict=True):
        probe.ask(path)
    _wait([*late, head, *probes])
    in_time = connect()
    in_time.ask("/")
    release.touch()

    assert 200 == occupied.answer()[0]
    for number, client in enumerate(late):
        status, answered, body = client.answer()
        assert 503 == status
        assert f"late-{number}" == answered["x-request-id"]
        assert "application/problem+json" == answered["content-type"]
        assert b"overloaded" in body
        assert int(answered["retry-after"]) in range(1, 6)
        assert ("close" == answered.get("connection", "").lower()) == (number == 12)
    assert 503 == head.answer("HEAD")[0]
    assert [200] * 3 == [probe.answer()[0] for probe in probes]
    assert 200 == in_time.answer()[0]
    assert late[12].is_closed()
    for client in (late[0], late[14], head):
        client.ask("/")
        assert 200 == client.answer()[0]

    text = scrape(server)
    assert 16 == value(text, "service_requests_shed_total", reason="late")
    assert 0 == value(text, "service_requests_shed_total", reason="overload")
    assert 0 == value(text, "flask_http_request_total", status="503", route="unmatched")
    assert value(text, "service_request_queue_seconds_sum") > 16 * LATE

    def reported() -> int:
        # Refusals of two beats make two lines for many requests.
        many: int = sum(line["requests"] for line in server.lines("requests refused"))
        return many + len(server.lines("request", outcome="shed"))

    wait_until(lambda: reported() >= 16, "lines for all refused requests")
    assert 16 == reported()
    assert server.lines("requests refused")
    lines = server.lines("request", outcome="shed")
    for line in lines:
        assert (503, "warning", "unmatched") == (line["status"], line["level"], line["route"])
        assert line["queue_ms"] > 1000 * LATE


def test_a_burst_of_three_times_the_threads_is_served(server: Server, connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    for client in clients:
        client.ask("/")

    assert [200] * 3 == [client.answer()[0] for client in clients]
    assert 0 == value(scrape(server), "service_requests_shed_total")


def test_a_client_that_sends_late_has_not_waited(connect: Connect) -> None:
    client = connect()
    _wait([client])
    client.ask("/")

    assert 200 == client.answer()[0]


def test_under_sustained_overload_the_important_requests_go_first(
    server: Server, connect: Connect, tmp_path: Path
) -> None:
    """Twenty clients that never pause, for one thread: the queue stands. Each waits for a second, half of the limit."""
    over = threading.Event()
    seen: Counter[int] = Counter()

    def load() -> None:
        client = Client(server)
        with closing(client):
            while not over.is_set():
                client.ask("/occupied?s=0.05")
                seen[client.answer()[0]] += 1

    def refused() -> float:
        return value(scrape(server), "service_requests_shed_total", reason="overload")

    with meanwhile([load] * 20, over):
        wait_until(refused, "requests are refused for the standing queue")
        client = connect()
        for path in ("/items/7", "/healthz", "/readyz") * 5:
            client.ask(path)
            assert 200 == client.answer()[0], path
        assert 200 == server.manage("/readyz").status
        assert 200 == server.manage("/livez").status
    assert {200, 503} == set(seen)
    _assert_they_overtake_a_backlog(server, connect, tmp_path)
    wait_until(lambda: connect_and_ask(connect) == 200, "it serves as before")

    assert seen[503] <= value(scrape(server), "service_requests_shed_total")


def _assert_they_overtake_a_backlog(server: Server, connect: Connect, directory: Path) -> None:
    """The first of the others would hold the only thread."""
    first, second = directory / "first", directory / "second"
    occupied = connect()
    occupied.ask(f"/slow?s=60&until={first}")
    wait_until(lambda: server.lines("slow view", route="/slow"), "the thread is occupied")
    others = [connect() for _ in range(5)]
    for client in others:
        client.ask(f"/occupied?s=60&until={second}")
    critical = [connect() for _ in range(3)]
    for number, client in enumerate(critical):
        client.ask(f"/items/{number}")
    connect()  # the server accepts it after the others, whose requests are queued then
    wait_until(
        lambda: value(server.manage("/metrics").body.decode(), "service_accept_queue_length") == 0, "all are queued"
    )
    first.touch()

    assert 200 == occupied.answer()[0]
    assert [b'{"number":%d}\n' % number for number in range(3)] == [client.answer()[2] for client in critical]
    second.touch()
    assert {client.answer()[0] for client in others} <= {200, 503}


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "is_unix"), [("gunicorn", True), ("waitress", True), ("uwsgi", True), ("uwsgi", False)]
)
@pytest.mark.parametrize("proxies", [1, 0])
def test_a_trusted_proxy_decides_if_the_kernel_cannot_tell(
    name: str, tmp_path: Path, *, is_unix: bool, proxies: int
) -> None:
    path = tmp_path / "s"
    env = {
        "SERVICE_BIND": f"unix:{path}" if is_unix else f"127.0.0.1:{free_port()}",
        "SERVICE_QUEUE_SECONDS": str(LATE),
        "SERVICE_TRUSTED_PROXIES": str(proxies),
        "SERVICE_LOG_LEVEL": "debug",
    }
    port = int(env["SERVICE_BIND"].rpartition(":")[2]) if not is_unix else 0

    def ask(path_asked: str, seconds: float | None) -> http.client.HTTPResponse:
        """Send a request that the proxy received so many seconds ago."""
        start = "" if seconds is None else f"X-Request-Start: t={time.time() - seconds:.6f}\r\n"
        with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as client:
            client.settimeout(DEADLINE)
            client.connect(str(path) if is_unix else ("127.0.0.1", port))
            client.sendall(f"GET {path_asked} HTTP/1.1\r\nHost: localhost\r\n{start}\r\n".encode())
            return whole_response(client)

    with started(COMMANDS[name], tmp_path, env) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        if not proxies:
            assert 200 == ask("/", 60).status
            return
        # A request that waited while its worker started is served. The workers do not start at the same time.
        again = wait_until(lambda: ask("/", 60).headers["Retry-After"] or "", "a worker has been ready for a while")
        assert int(again) in range(1, 6)
        assert [200, 200, 200] == [ask("/", None).status, ask("/", -60).status, ask("/healthz", 60).status]
        assert 1 == value(server.manage("/metrics").body.decode(), "service_requests_shed_total", reason="late")
        lines = wait_until(lambda: server.lines("request", outcome="shed"), "its line")
        assert lines[0]["queue_ms"] > 60_000


def connect_and_ask(connect: Connect) -> int:
    client = connect()
    client.ask("/")
    return client.answer()[0]

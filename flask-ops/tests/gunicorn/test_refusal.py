"""The refusals of Gunicorn's worker: they block no thread, and keep the connection if HTTP allows it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.connections import whole_response
from tests.exposition import value
from tests.process import DEADLINE, Server, wait_until
from tests.servers import serve
from tests.web.uploads import chunked

LATE = 1.0
"""The limit in seconds."""


class Backlog:
    """Requests that wait for the only thread of a server."""

    def __init__(self, server: Server, release: Path, clients: ExitStack) -> None:
        self._server, self._release, self._clients = server, release, clients
        self._occupied = self.send(f"GET /slow?s=60&until={release} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        wait_until(lambda: server.lines("slow view"), "the thread is occupied")

    def send(self, data: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._server.port), timeout=DEADLINE)
        self._clients.enter_context(client)
        client.sendall(data)
        return client

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end, "the requests have waited")

    def serve(self) -> None:
        self._release.touch()
        assert 200 == whole_response(self._occupied).status


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    env = {
        "WEB_CONCURRENCY": "1",
        "SERVICE_THREADS": "1",
        "SERVICE_QUEUE_SECONDS": str(LATE),
        "SERVICE_TRUSTED_PROXIES": "1",
    }
    with serve("gunicorn", tmp_path, env) as running_server:
        yield running_server


@pytest.fixture
def backlog(server: Server, tmp_path: Path) -> Iterator[Backlog]:
    with ExitStack() as clients:
        yield Backlog(server, tmp_path / "release", clients)


def post(framing: bytes, body: bytes) -> bytes:
    return b"POST /upload HTTP/1.1\r\nHost: t\r\n" + framing + b"\r\n\r\n" + body


def get(headers: str = "") -> bytes:
    return f"GET / HTTP/1.1\r\nHost: t\r\n{headers}\r\n".encode()


def connection_of(response: http.client.HTTPResponse) -> str | None:
    return response.headers["Connection"]


def test_a_refused_request_whose_body_is_unfinished_holds_no_thread(backlog: Backlog) -> None:
    """To keep the connection, Gunicorn would wait for the rest of the body."""
    unfinished = [
        backlog.send(post(b"Content-Length: 12", b"123456")),
        backlog.send(post(b"Content-Length: 12", b"")),
        backlog.send(post(b"Content-Length: 100000", b"x" * 99_999)),
        backlog.send(post(b"Transfer-Encoding: chunked", b"c\r\n123456")),
    ]
    whole = [
        backlog.send(post(b"Content-Length: 12", b"123456789012")),
        backlog.send(post(b"Transfer-Encoding: chunked", chunked(b"123456789012"))),
    ]
    backlog.wait(1.2 * LATE)
    in_time = backlog.send(get())
    backlog.serve()

    assert 200 == whole_response(in_time).status
    for client in unfinished:
        response = whole_response(client)
        assert (503, "close") == (response.status, connection_of(response))
    for client in whole:
        response = whole_response(client)
        assert (503, "keep-alive") == (response.status, connection_of(response))
        client.sendall(get())
        assert 200 == whole_response(client).status


def test_the_time_in_the_proxy_s_queue_counts_for_refused_requests(server: Server, backlog: Backlog) -> None:
    """The worker refuses most of them before it parses them."""
    earlier = f"{time.time() - 600:.3f}"
    known = [backlog.send(get(f"X-Request-Start: t={earlier}\r\n")) for _ in range(12)]
    unknown = [
        backlog.send(get(f"x-request-start: {value}\r\n")) for value in ("soon", f"{earlier}\r\nX-Request-Start: 1")
    ]
    backlog.wait(1.2 * LATE)
    backlog.serve()

    assert {503} == {whole_response(client).status for client in [*known, *unknown]}
    text = server.manage("/metrics").body.decode()
    assert 14 == value(text, "service_requests_shed_total", reason="late")
    assert 12 * 600 < value(text, "service_request_queue_seconds_sum") < 13 * 600


def test_a_drain_closes_the_connections_of_refused_requests(server: Server, backlog: Backlog) -> None:
    late = [backlog.send(get()) for _ in range(12)]
    backlog.wait(1.2 * LATE)
    assert 200 == server.manage("/drain", "POST").status
    backlog.serve()

    responses = [whole_response(client) for client in late]
    assert {(503, "close")} == {(response.status, connection_of(response)) for response in responses}

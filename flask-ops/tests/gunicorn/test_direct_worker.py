"""Connections that a worker thread returns to the poller directly."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.process import DEADLINE, PROJECT, Server, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system


WITHOUT_EPOLL = """
from flask_ops.servers.gunicorn import ready_connections
ready_connections.IS_POSSIBLE = False
"""


@pytest.fixture(scope="module", params=["the threads wait", "the main loop waits"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("direct")
    configuration = directory / "gunicorn.conf.py"
    waits_itself = request.param == "the main loop waits"  # as without epoll
    configuration.write_text((PROJECT / "gunicorn.conf.py").read_text() + (WITHOUT_EPOLL if waits_itself else ""))
    options = ["--workers=1", f"--config={configuration}"]
    with serve("gunicorn", directory, {"SERVICE_LOG_LEVEL": "info"}, options, ready="/readyz") as running_server:
        yield running_server


@pytest.fixture(scope="module")
def descriptors(server: Server) -> int:
    """Return the number of the worker's descriptors without any connection."""
    (worker,) = server.children()
    return worker.num_fds()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)


def head(path: str, request_id: str = "", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\nX-Request-ID: {request_id}\r\n{more}\r\n".encode()


def answer(client: socket.socket, method: str = "GET") -> http.client.HTTPResponse:
    with http.client.HTTPResponse(client, method=method) as response:
        response.begin()
        response.read()
    return response


def test_a_kept_connection_serves_one_request_after_the_other(server: Server, descriptors: int) -> None:
    before = len(server.lines("request", route="/whoami"))

    def ask(client_number: int) -> None:
        with connect(server) as client:
            for number in range(200):
                client.sendall(head("/whoami", f"id-{client_number}-{number}"))
                response = answer(client)
                assert 200 == response.status
                assert f"id-{client_number}-{number}" == response.headers["X-Request-ID"]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))

    wait_until(lambda: len(server.lines("request", route="/whoami")) == before + 3200, "each request has its line")
    (worker,) = server.children()
    wait_until(lambda: worker.num_fds() <= descriptors, "no descriptor is left")


def test_requests_that_are_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    ids = [f"ahead-{number}" for number in range(50)]
    with connect(server) as client, contextlib.ExitStack() as stack:
        client.sendall(b"".join(head("/whoami", each) for each in ids))
        stream = stack.enter_context(client.makefile("rb"))
        seen = []
        for _ in ids:
            assert stream.readline().startswith(b"HTTP/1.1 200 ")
            headers = http.client.parse_headers(stream)
            stream.read(int(headers["Content-Length"]))
            seen.append(headers["X-Request-ID"])

    assert ids == seen


def test_a_body_that_no_view_reads_is_not_taken_for_the_next_request(server: Server) -> None:
    hidden = head("/boom")
    with connect(server) as client:
        client.sendall(head("/slow?s=0", more=f"Content-Length: {len(hidden)}\r\n").replace(b"GET", b"POST", 1))
        client.sendall(hidden)
        assert 200 == answer(client).status
        client.sendall(head("/whoami"))
        assert 200 == answer(client).status

    assert [] == server.lines("request", route="/boom")


def test_a_client_that_leaves_between_two_requests_leaves_nothing_behind(server: Server, descriptors: int) -> None:
    (worker,) = server.children()
    expected = {f"leaves-{number}" for number in range(300)}

    for number in range(300):
        with connect(server) as client:
            client.sendall(head("/whoami", f"leaves-{number}"))
            if number % 2:
                answer(client)

    wait_until(lambda: worker.num_fds() <= descriptors, "no descriptor is left")

    def reported() -> list[str]:
        return [line["request_id"] for line in server.lines("request") if line["request_id"] in expected]

    wait_until(lambda: expected == {*reported()}, "each request has its line")
    assert 300 == len(reported())
    errors = server.lines(level="error")
    assert [] == [line for line in errors if line.get("route") != "/readyz"]  # 503 until it was ready

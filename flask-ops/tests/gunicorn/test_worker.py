"""Clients that do not close their connection delay no other client."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import time
from pathlib import Path

import pytest

from tests.process import DEADLINE, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

CLIENTS = 50
REQUESTS = 200
PATIENCE = 5.0
"""In seconds. Gunicorn alone spends up to two on each such client, one after the other."""


def test_clients_that_never_close_stall_nobody(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}) as server, contextlib.ExitStack() as clients:
        seconds = []
        for number in range(REQUESTS):
            if number % (REQUESTS // CLIENTS) == 0:
                silent = clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE))
                silent.sendall(b"GET /whoami HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            begin = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            connection.request("GET", "/whoami", headers={"Connection": "close"})
            response = connection.getresponse()
            assert 200 == response.status
            response.read()
            connection.close()
            seconds.append(time.perf_counter() - begin)

        p99 = statistics.quantiles(seconds, n=100)[98]
        print(f"{CLIENTS} clients that never close: p99 of the others {p99 * 1000:.1f} ms")  # noqa: T201 - quoted
        wait_until(lambda: len(server.lines("request", status=200)) >= REQUESTS + CLIENTS, "all were answered")


def test_what_a_client_still_sends_does_not_cost_it_the_answer(tmp_path: Path) -> None:
    """The server answers before it has read the body.

    Closing at once would reset the connection and lose the answer.
    """
    with serve("gunicorn", tmp_path, {"SERVICE_MAX_BODY_BYTES": "1000"}) as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
                client.sendall(
                    b"POST /upload HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 400000\r\n\r\n"
                )
                client.sendall(b"x" * 400_000)
                with client.makefile("rb") as stream:
                    assert stream.read().startswith(b"HTTP/1.1 413 ")


def test_connections_that_linger_are_closed_in_the_end(tmp_path: Path) -> None:
    with (
        serve("gunicorn", tmp_path, options=["--workers=1"], ready="/readyz") as server,
        contextlib.ExitStack() as clients,
    ):
        (worker,) = server.children()
        before = worker.num_fds()
        for _ in range(300):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE))
            client.sendall(b"GET /whoami HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert b"HTTP/1.1 2" == client.recv(10)
        wait_until(lambda: worker.num_fds() <= before + 1, "no descriptor is left")

"""Connections that clients keep open between requests."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator, Sequence

from tests.process import DEADLINE, Server


def ask(client: socket.socket) -> http.client.HTTPResponse:
    """Send a request, and read its whole response."""
    client.sendall(b"GET /whoami HTTP/1.1\r\nHost: test\r\n\r\n")
    response = whole_response(client)
    assert 200 == response.status
    return response


def whole_response(client: socket.socket) -> http.client.HTTPResponse:
    """Read a whole response."""
    with http.client.HTTPResponse(client) as response:
        response.begin()
        assert response.read()
    return response


def is_open(client: socket.socket) -> bool:
    """Tell whether the server has not closed the connection."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    finally:
        client.settimeout(DEADLINE)


def open_ones(clients: Sequence[socket.socket]) -> int:
    """Return how many connections the server has not closed."""
    return sum(map(is_open, clients))


@contextlib.contextmanager
def connected(server: Server, number: int, *, silent: bool = False) -> Iterator[list[socket.socket]]:
    """Open connections during the block. Each has served one request, or none if it is ``silent``."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
            clients.append(stack.enter_context(client))
            if not silent:
                ask(client)
        yield clients


def send(port: int, data: bytes) -> bytes:
    """Send only these bytes on a new connection. Return all that comes until the server closes it."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65536):
                answer += part
        except ConnectionError:  # the server answered and closed before it had received everything
            pass
    return answer

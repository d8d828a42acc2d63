"""The connections that have a request, as the serving threads take them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from flask_ops.servers.gunicorn import ready_connections

pytestmark = pytest.mark.skipif(not ready_connections.IS_POSSIBLE, reason="epoll is only in Linux")


class Connection:
    """A connection and its client."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()

    def close(self) -> None:
        self.sock.close()
        self.client.close()


@pytest.fixture
def ready() -> ready_connections.ReadyConnections:
    return ready_connections.ReadyConnections()


@pytest.fixture
def connections() -> Iterator[list[Connection]]:
    made = [Connection() for _ in range(3)]
    yield made
    for connection in made:
        connection.close()


def test_each_request_is_taken_once_in_the_order_of_arrival(
    ready: ready_connections.ReadyConnections, connections: list[Connection]
) -> None:
    for turn in range(2):
        for connection in connections:
            ready.expect(connection)
        assert [] == ready.take_all()
        for connection in reversed(connections):
            connection.client.send(b"request")

        assert connections[2] is ready.take()
        assert [connections[1], connections[0]] == ready.take_all()
        assert [] == ready.take_all(), turn
        for connection in connections:
            connection.sock.recv(100)


def test_a_connection_is_forgotten_unless_a_thread_has_taken_it(
    ready: ready_connections.ReadyConnections, connections: list[Connection]
) -> None:
    taken, other, _ = connections
    for connection in (taken, other):
        ready.expect(connection)
    taken.client.send(b"request")
    assert taken is ready.take()

    assert not ready.forget(taken)
    assert ready.forget(other)
    assert not ready.forget(other)
    other.client.send(b"request")
    assert [] == ready.take_all()


def test_a_new_connection_may_get_the_descriptor_of_a_closed_one(ready: ready_connections.ReadyConnections) -> None:
    old = Connection()
    ready.expect(old)
    old.client.send(b"request")
    assert old is ready.take()
    descriptor = old.sock.fileno()
    old.close()
    new = Connection()
    assert descriptor == new.sock.fileno()
    new.client.send(b"request")

    ready.expect(new)

    assert new is ready.take()
    new.close()


def test_a_closed_connection_cannot_be_expected(
    ready: ready_connections.ReadyConnections, connections: list[Connection]
) -> None:
    connections[0].close()

    with pytest.raises((OSError, ValueError)):
        ready.expect(connections[0])


def test_ring_lets_one_thread_return(ready: ready_connections.ReadyConnections) -> None:
    for _ in range(2):
        ready.ring()

    assert [None, None] == [ready.take(), ready.take()]
    assert [] == ready.take_all()

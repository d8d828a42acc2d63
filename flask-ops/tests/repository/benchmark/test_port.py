"""Ports that no other process gets."""

from __future__ import annotations

import socket

from benchmark.port import LOOPBACK, reserved


def test_a_server_may_listen_on_a_reserved_port_and_is_alone_there() -> None:
    with reserved() as port, reserved() as other, socket.create_server((LOOPBACK, port)) as server:
        assert port != other
        with socket.create_connection((LOOPBACK, port), timeout=5):
            connection, _ = server.accept()
            connection.close()

"""A connection that a view takes over for WebSocket is one line with status 101. Nothing follows its close frame."""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from simple_websocket import Client, ConnectionClosed

from tests.attach.servers import LOOPBACK, attached, counted, served
from tests.exposition import value
from tests.process import BIN, Server, wait_until

ECHO = "tests.applications.sockets:create_app()"
SOCKETIO = "tests.applications.sockets:create_socketio()"
DEVELOPMENT = {"SERVICE_ENV": "development", "SERVICE_BIND": "127.0.0.1:0", "SERVICE_LOG_FORMAT": "json"}


def gunicorn(application: str, directory: Path) -> AbstractContextManager[Server]:
    # A connection that counts as stuck would end the only worker.
    options = [LOOPBACK, "--workers=1", "--threads=2"]
    return attached(application, directory, options, {"SERVICE_REQUEST_TIMEOUT": "0.5"})


def development(application: str, directory: Path) -> AbstractContextManager[Server]:
    """``flask run`` with one line of code: ``tests.applications.one_line`` wraps the application."""
    env = {**DEVELOPMENT, "APPLICATION": application}
    return served([BIN / "flask", "--app", "tests.applications.one_line", "run", "--port=0"], directory, env)


def upgraded(server: Server) -> list[dict[str, Any]]:
    return [line for line in server.lines("request") if line["status"] == 101]


def test_it_is_in_flight_while_open_and_never_stuck(tmp_path: Path) -> None:
    with gunicorn(ECHO, tmp_path) as server:
        clients = [Client(f"ws://127.0.0.1:{server.port}/echo") for _ in range(2)]
        for number, client in enumerate(clients):
            client.send(f"message {number}")
            assert f"message {number}" == client.receive(timeout=10)

        def scraped(name: str) -> float:
            return value(server.manage("/metrics").body.decode(), name)

        wait_until(lambda: scraped("service_requests_in_flight") == 2, "two connections in flight")
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() > begin + 1.2, "twice the time after which a request is stuck")
        assert scraped("service_requests_stuck") == 0 == scraped("service_requests_timed_out_total")
        for client in clients:
            client.send("still here")
            assert client.receive(timeout=10) == "still here"
            client.close()

        wait_until(lambda: len(upgraded(server)) == 2, "two lines")
        for line in upgraded(server):
            assert (line["level"], line["route"], "outcome" in line) == ("info", "/echo", False)
            assert line["duration_ms"] > 1000
        wait_until(lambda: counted(server)["GET", "/echo", "101"] == 2, "two counts")
        assert not server.lines("unhandled exception")
        assert server.request("GET", "/").status == 200


def test_nothing_follows_the_close_frame(tmp_path: Path) -> None:
    with gunicorn(ECHO, tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        key = b64encode(b"0123456789abcdef")
        client.sendall(
            b"GET /echo HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(1000)
        assert received.startswith(b"HTTP/1.1 101 ")
        client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a close frame with code 1000, masked with zeros
        rest = received.partition(b"\r\n\r\n")[2]
        while piece := client.recv(1000):
            rest += piece
        assert rest == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("serve", [gunicorn, development])
def test_both_libraries_are_one_line(
    serve: Callable[[str, Path], AbstractContextManager[Server]], tmp_path: Path
) -> None:
    (tmp_path / "sock").mkdir()
    with serve(ECHO, tmp_path / "sock") as server:
        client = Client(f"ws://127.0.0.1:{server.port}/echo")
        client.send("hello")
        assert client.receive(timeout=10) == "hello"
        client.close()
        with pytest.raises(ConnectionClosed):
            client.receive(timeout=10)
        (line,) = wait_until(lambda: upgraded(server), "the line of flask-sock")
        assert line["route"] == "/echo"
        assert not server.lines(level="error")
    (tmp_path / "io").mkdir()
    with serve(SOCKETIO, tmp_path / "io") as server:
        client = Client(f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket")
        client.send("40")  # connect by Socket.IO; the client may keep what came with the handshake until more comes
        wait_until(lambda: str(client.receive(timeout=1)).startswith("40{"), "the answer to it")
        client.send('421["message","hello"]')
        assert client.receive(timeout=10) == '431["hello"]'
        client.close()
        (line,) = wait_until(lambda: upgraded(server), "the line of Flask-SocketIO")
        assert line["path"] == "/socket.io/"
        assert not server.lines(level="error")

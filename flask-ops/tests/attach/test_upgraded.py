"""A connection that a view takes over for WebSocket is one line with status 101. Nothing follows its close frame."""

from __future__ import annotations

import re
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

SOCKETS = "tests.applications.sockets:create_app()"
ECHO_PATH, SOCKETIO_PATH = "/echo", "/socket.io/?EIO=4&transport=websocket"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": b64encode(b"0123456789abcdef").decode(),
}
CLOSE = b"\x88\x02\x03\xe8"
"""A close frame with code 1000, of a server."""
JSON = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "", "SERVICE_LOG_FORMAT": "json"}
ONE_LINE = "tests.applications.one_line:create_app"
"""Wraps the application with one line of code."""

Serve = Callable[[Path], AbstractContextManager[Server]]


def gunicorn(directory: Path) -> AbstractContextManager[Server]:
    # A connection that counts as stuck would end the only worker.
    options = [LOOPBACK, "--workers=1", "--threads=2"]
    return attached(SOCKETS, directory, options, {"SERVICE_REQUEST_TIMEOUT": "0.5"})


def development(directory: Path) -> AbstractContextManager[Server]:
    env = {**JSON, "SERVICE_ENV": "development", "APPLICATION": SOCKETS}
    return served([BIN / "flask", "--app", ONE_LINE, "run", "--port=0"], directory, env)


def waitress(directory: Path) -> AbstractContextManager[Server]:
    return served([BIN / "python", "-m", "flask_ops", "serve", SOCKETS], directory, JSON)


def waitress_of_another(directory: Path) -> AbstractContextManager[Server]:
    command: list[str | Path] = [BIN / "waitress-serve", "--listen=127.0.0.1:0", "--call", ONE_LINE]
    return served(command, directory, {**JSON, "APPLICATION": SOCKETS})


def uwsgi(
    directory: Path, module: str = "tests.applications.uwsgi_entry:application"
) -> AbstractContextManager[Server]:
    command: list[str | Path] = [BIN / "uwsgi", "--http-socket=127.0.0.1:0", "--threads=2", f"--module={module}"]
    return served(command, directory, {**JSON, "APPLICATION": SOCKETS})


def uwsgi_of_another(directory: Path) -> AbstractContextManager[Server]:
    return uwsgi(directory, f"{ONE_LINE}()")


def upgraded(server: Server) -> list[dict[str, Any]]:
    return [line for line in server.lines("request") if line["status"] == 101]


def test_it_is_in_flight_while_open_and_never_stuck(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
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


@pytest.mark.parametrize("serve", [gunicorn, development])
def test_nothing_follows_the_close_frame(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        for path, greeting in [(ECHO_PATH, b""), (SOCKETIO_PATH, rb"\x81.0\{.*\}")]:
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                headers = "".join(f"{name}: {text}\r\n" for name, text in HANDSHAKE.items())
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n{headers}\r\n".encode())
                received = b""
                while b"\r\n\r\n" not in received:
                    received += client.recv(1000)
                assert received.startswith(b"HTTP/1.1 101 ")
                while greeting and not received.endswith(b"}"):
                    received += client.recv(1000)
                client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a close frame of a client, masked with zeros
                while not received.endswith(CLOSE):
                    received += client.recv(1000)
                client.shutdown(socket.SHUT_WR)  # the development server leaves it to the client to end the connection
                while piece := client.recv(1000):
                    received += piece
            frames = received.partition(b"\r\n\r\n")[2]
            assert re.fullmatch(greeting + CLOSE, frames, re.DOTALL), frames


@pytest.mark.parametrize("serve", [gunicorn, development])
def test_both_libraries_are_one_line(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        client = Client(f"ws://127.0.0.1:{server.port}{ECHO_PATH}")
        client.send("hello")
        assert client.receive(timeout=10) == "hello"
        client.close()
        with pytest.raises(ConnectionClosed):
            client.receive(timeout=10)
        (line,) = wait_until(lambda: upgraded(server), "the line of flask-sock")
        assert line["route"] == "/echo"

        client = Client(f"ws://127.0.0.1:{server.port}{SOCKETIO_PATH}")
        client.send("40")  # connect by Socket.IO; the client may keep what came with the handshake until more comes
        wait_until(lambda: str(client.receive(timeout=1)).startswith("40{"), "the answer to it")
        client.send('421["message","hello"]')
        assert client.receive(timeout=10) == '431["hello"]'
        client.close()
        wait_until(lambda: len(upgraded(server)) == 2, "the line of Flask-SocketIO")
        line = upgraded(server)[1]
        assert ("/socket.io/", "unmatched") == (line["path"], line["route"])
        assert not server.lines(level="error")


@pytest.mark.parametrize("serve", [waitress, waitress_of_another, uwsgi, uwsgi_of_another])
def test_a_server_without_websockets_refuses_clearly(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        for path in [ECHO_PATH, SOCKETIO_PATH] * 2:
            response = server.request("GET", path, headers=HANDSHAKE)
            assert (400, True) == (response.status, b"This server does not support WebSockets" in response.body)
        wait_until(lambda: len(server.lines("request", status=400)) == 4, "four lines")
        lines = server.lines("request", status=400)  # of several threads, so in any order
        assert ["/echo", "/echo", "unmatched", "unmatched"] == sorted(line["route"] for line in lines)
        assert {("info", None)} == {(line["level"], line.get("outcome")) for line in lines}
        (line,) = server.lines("this server does not support WebSockets")
        assert line["level"] == "warning"
        assert "Gunicorn" in line["hint"]
        assert not server.lines(level="error")
        assert not server.lines(level="critical")
        assert server.request("GET", "/").status == 200

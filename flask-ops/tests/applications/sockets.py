"""Applications with WebSockets, by flask-sock and by Flask-SocketIO, which know nothing of this library."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock
from flask_socketio import SocketIO
from simple_websocket import Server


def create_app() -> Flask:
    """Return an application whose route /echo repeats each message until its client closes."""
    app = Flask(__name__)
    sock = Sock(app)

    @sock.route("/echo")  # type: ignore[untyped-decorator] # it ships no types
    def echo(connection: Server) -> None:
        while True:
            connection.send(connection.receive())

    @app.get("/")
    def index() -> str:
        return "well"

    return app


def create_socketio() -> Flask:
    """Return an application that answers events by Socket.IO with threads."""
    app = Flask(__name__)
    socketio = SocketIO(app, async_mode="threading")

    @socketio.on("message")  # type: ignore[untyped-decorator] # it ships no types
    def message(data: Any) -> Any:
        return data

    @app.get("/")
    def index() -> str:
        return "well"

    return app

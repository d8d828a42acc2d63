"""An application with WebSockets by flask-sock and by Flask-SocketIO, which knows nothing of this library."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock
from flask_socketio import SocketIO
from simple_websocket import Server


def create_app() -> Flask:
    """Return an application that repeats messages: flask-sock on /echo, Flask-SocketIO with threads on /socket.io/."""
    app = Flask(__name__)
    sock = Sock(app)
    socketio = SocketIO(app, async_mode="threading")

    @sock.route("/echo")  # type: ignore[untyped-decorator] # it ships no types
    def echo(connection: Server) -> None:
        while True:
            connection.send(connection.receive())

    @socketio.on("message")  # type: ignore[untyped-decorator] # it ships no types
    def message(data: Any) -> Any:
        return data

    @app.get("/")
    def index() -> str:
        return "well"

    return app

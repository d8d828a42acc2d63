"""WSGI callables of every kind: without Flask, with it inside, and with middleware around it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from whitenoise import WhiteNoise

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PLAIN = [("Content-Type", "text/plain"), ("Content-Length", "5")]


def function(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer without Flask."""
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("a fault")
    start_response("200 OK", _PLAIN)
    return [b"plain"]


def generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer without Flask, piece by piece."""
    start_response("200 OK", _PLAIN)
    yield b"pl"
    yield environ["PATH_INFO"].encode()[:0] + b"ain"


def flask_application() -> Flask:
    """Return an application that does not use this library."""
    app = Flask(__name__)

    @app.get("/items/<int:number>")
    def item(number: int) -> str:
        return str(number)

    @app.get("/raise")
    def fail() -> str:
        raise ValueError("a fault of the view")

    @app.get("/exit")
    def leave() -> str:
        sys.exit(3)

    @app.get("/log")
    def log() -> str:
        logging.getLogger("shop").warning("a line of the view")
        return "logged"

    @app.get("/stream")
    def stream() -> Response:
        return Response(str(number) for number in range(3))

    return app


def dispatched() -> WSGIApplication:
    """Return an application with a second application mounted in it."""
    return DispatcherMiddleware(function, {"/shop": flask_application()})


def whitened() -> WSGIApplication:
    """Return an application wrapped in WhiteNoise."""
    app = WhiteNoise(flask_application())
    app.add_files(str(Path(__file__).parent), prefix="files/")
    found: WSGIApplication = app
    return found


def whitened_inside() -> WSGIApplication:
    """Return an application with WhiteNoise inside, as most projects install it."""
    app = flask_application()
    app.wsgi_app = WhiteNoise(app.wsgi_app, root=str(Path(__file__).parent), prefix="files/")  # type: ignore[method-assign] # as WhiteNoise documents it
    return app


def copied() -> WSGIApplication:
    """Return an application behind a middleware that passes on a copy of the environment."""
    app = flask_application()

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return app({**environ}, start_response)

    return middleware


def late() -> WSGIApplication:
    """Return an application behind a middleware that starts the response after the application has returned."""
    return _late(flask_application())


def late_and_copied() -> WSGIApplication:
    """Return an application behind both of these middlewares."""
    app = _late(flask_application())

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return app({**environ}, start_response)

    return middleware


def _late(app: Callable[..., Iterable[bytes]]) -> WSGIApplication:
    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started: list[Any] = []

        def note(*arguments: Any) -> Callable[[bytes], object]:
            started[:] = arguments
            return lambda _: None

        response = app(environ, note)
        start_response(*started)
        return response

    return middleware

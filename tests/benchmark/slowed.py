"""This service with a fault: each request burns CPU for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from service import app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BURNED_SECONDS = 0.0005


def create_app() -> Flask:
    application = app.create_app()
    serve = application.wsgi_app

    def burn(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        end = time.thread_time() + BURNED_SECONDS
        while time.thread_time() < end:
            pass
        return serve(environ, start_response)

    application.wsgi_app = burn  # type: ignore[method-assign] # as Flask documents it
    return application

"""This service with a fault: each request wastes CPU time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from benchmark.subjects import this_service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BURNED = 100_000
"""Numbers added up for each request: more than three times the work of bare Flask.

It is an amount of work, not a time. On a busy machine, the CPU time of bare Flask grows, and a fixed time would not.
"""


def create_app() -> Flask:
    application = this_service.create_app()
    serve = application.wsgi_app

    def burn(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sum(range(BURNED))
        return serve(environ, start_response)

    application.wsgi_app = burn  # type: ignore[method-assign] # as Flask documents it
    return application

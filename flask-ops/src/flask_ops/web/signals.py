"""What Flask's signals tell of a request whose response does not: its route, and that it failed."""

from __future__ import annotations

from typing import Any

from flask import Flask, got_request_exception, has_request_context, request, request_tearing_down

EXCHANGE = "flask_ops.exchange"
"""The key in the WSGI environment of the exchange that observes the request."""


def rule_of(environ: dict[str, Any]) -> str | None:
    """Return the URL rule of the request that Flask is serving, None if there is none.

    Flask leaves the request in the environment that it was given. That may be a copy, made by a middleware.
    """
    found = environ.get("werkzeug.request")
    if found is None and has_request_context():
        found = request
    return found.url_rule.rule if found is not None and found.url_rule is not None else None


def _note_exception(_app: Flask, **_: object) -> None:
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None:
        exchange.raised = True
        exchange.note_route()


def _note_route(_app: Flask, exc: BaseException | None = None, **_: object) -> None:
    if exc is not None:  # else the route was noted with the response
        exchange = request.environ.get(EXCHANGE)
        if exchange is not None:
            exchange.note_route()


got_request_exception.connect(_note_exception)
request_tearing_down.connect(_note_route)

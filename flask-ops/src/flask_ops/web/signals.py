"""Flask's signals tell of a request what its response does not: its route, and that it failed."""

from __future__ import annotations

from flask import Flask, Request, got_request_exception, request, request_started

EXCHANGE = "flask_ops.exchange"
"""The key in the WSGI environment of the exchange that observes the request.

A middleware may pass a copy of the environment on. The request that Flask makes of it is then in the copy only, but the
exchange is in both.
"""


def _note_route(_app: Flask, **_: object) -> None:
    # At the start, because a view may raise SystemExit, and because a middleware may start the response after Flask has
    # forgotten the request.
    found: Request = request._get_current_object()  # type: ignore[attr-defined] # Flask types the proxy as the request
    exchange = found.environ.get(EXCHANGE)
    if exchange is not None and found.url_rule is not None:
        exchange.note_route(found.url_rule.rule)


def _note_exception(_app: Flask, **_: object) -> None:
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None:
        exchange.raised = True


request_started.connect(_note_route)
got_request_exception.connect(_note_exception)

"""Flask's signals, which tell the observer the route of a request and its exceptions."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, got_request_exception, has_request_context, request, request_started

from flask_ops.core.context import RequestContext, request_finders
from flask_ops.web import limits, websocket

EXCHANGE = "flask_ops.exchange"
"""The key in the WSGI environment of the exchange that observes the request.

A middleware may pass on a copy of the environment. Flask's request is then only in the copy, but the exchange is in
both.
"""


class _RequestJSON:
    """The JSON provider of a request. It blames the client, not the application, if JSON is nested too deeply."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def loads(self, data: str | bytes, **kwargs: Any) -> Any:
        """Read JSON. Raises ValueError, for which ``request.get_json()`` raises a 400."""
        try:
            return self._provider.loads(data, **kwargs)
        except RecursionError:
            raise ValueError("The JSON is nested too deeply.") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


def _note_request(_app: Flask, **_: object) -> None:
    # At the start, because a view may raise SystemExit. A middleware may also start the response when Flask has already
    # dropped the request.
    found: Request = request._get_current_object()  # type: ignore[attr-defined] # Flask types the proxy as the request
    exchange = found.environ.get(EXCHANGE)
    if exchange is None:
        return
    if exchange.body is not None:
        limits.limit_body(found)
        found.json_module = _RequestJSON(found.json_module)
    if found.url_rule is not None:
        exchange.note_route(found.url_rule.rule, is_websocket=found.url_rule.websocket)
        if found.url_rule.websocket and (error := websocket.unsupported(found.environ)):
            raise error  # Flask answers it as if the view had raised it, which would fail


def _note_exception(_app: Flask, **_: object) -> None:
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None:
        exchange.raised = True


def _request_of_thread() -> RequestContext | None:
    """Return the request of a thread that runs a function of ``flask.copy_current_request_context``."""
    exchange = request.environ.get(EXCHANGE) if has_request_context() else None
    return None if exchange is None else exchange.ids


request_finders.append(_request_of_thread)
request_started.connect(_note_request)
got_request_exception.connect(_note_exception)

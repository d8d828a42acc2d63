"""Flask, with what an observer outside of it has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Request, Response, request
from flask.ctx import RequestContext
from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge

from service.web.json_provider import JSONProvider
from service.web.leaving import ends_the_process

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

EXCEPTION_KEY = "service.exception"
"""Set in the WSGI environment of a request that had an unhandled exception."""

ROUTE_KEY = "service.route"
"""The URL rule of a request that an exception may leave without a response."""

_log = structlog.stdlib.get_logger(__name__)


class EscapedError(RuntimeError):
    """The application let out an exception that would have taken the worker down, such as SystemExit."""


class Service(Flask):
    """Flask; but whatever a view raises becomes a response, is logged once, and keeps its route."""

    json_provider_class = JSONProvider

    def request_context(self, environ: WSGIEnvironment) -> RequestContext:
        """Return the context of a request, which has the whole of a chunked body, or none."""
        context = super().request_context(environ)
        if "HTTP_TRANSFER_ENCODING" in environ:
            _take_chunked_body(context.request, self.config["MAX_CONTENT_LENGTH"])
        return context

    def full_dispatch_request(self) -> Response:
        """Serve the request; ``sys.exit()`` in a view is an unhandled exception like any other."""
        try:
            return super().full_dispatch_request()
        except Exception:
            raise
        except BaseException as error:
            if ends_the_process(error):
                _remember_route()
                raise
            raise EscapedError(f"{type(error).__name__} was raised while a request was served") from error

    def handle_exception(self, e: Exception) -> Response:
        """Turn an unhandled exception into a response, or raise it again in debugging and testing."""
        request.environ[EXCEPTION_KEY] = True
        _remember_route()
        return super().handle_exception(e)

    def log_exception(self, exc_info: Any) -> None:
        """Log the exception behind a 500, once and with all that is known of it."""
        _log.error("unhandled exception", exc_info=exc_info)


class _LimitedBody:
    """A request body without a Content-Length, which is read up to a limit."""

    def __init__(self, body: Any, limit: int) -> None:
        self._body = body
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._body.read(self._left + 1 if size < 0 else size)
        self._left -= len(data)
        if self._left < 0:
            raise RequestEntityTooLarge
        return data


def _take_chunked_body(request: Request, limit: int | None) -> None:
    if "uwsgi.version" in request.environ:
        # uWSGI passes an empty body on. The router's exception is what Flask raises when it dispatches.
        request.routing_exception = LengthRequired()
    elif limit is not None:
        # Werkzeug cuts such a body off at the limit and passes the rest over: a truncated upload that looks whole.
        request.environ["wsgi.input"] = _LimitedBody(request.environ["wsgi.input"], limit)
        request.max_content_length = limit + 1


def _remember_route() -> None:
    if request.url_rule is not None:
        request.environ[ROUTE_KEY] = request.url_rule.rule

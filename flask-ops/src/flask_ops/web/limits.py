"""The limit on the size of request bodies, with and without a Content-Length."""

from __future__ import annotations

import io
from typing import Any

from flask import Flask, Request, request
from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge

from flask_ops.web.request_body import RequestBody


def init_app(app: Flask, max_bytes: int) -> None:
    """Answer larger bodies with 413, and bodies that the server cannot read with 411."""
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    # First, because other functions may read the body.
    app.before_request_funcs.setdefault(None, []).insert(0, _refuse_unreadable)


class _LimitedBody(io.RawIOBase):
    """The stream of a request. A read raises if the body is longer than the limit that is in force then.

    Werkzeug's own stream drops the rest of a chunked body after the limit, so that a truncated upload looks complete.
    It also refuses a body that is exactly as long as the limit.
    """

    def __init__(self, received: Request) -> None:
        self._request, self._source = received, received.environ["wsgi.input"]
        self._taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A view may set a limit, or None for no limit. For None, Flask's property returns the application's limit.
        limit = vars(self._request).get("_max_content_length", self._request.max_content_length)
        if limit is not None and (self._request.content_length or 0) > limit:
            raise RequestEntityTooLarge
        data: bytes = self._source.read(len(buffer))
        self._taken += len(data)
        if limit is not None and self._taken > limit:
            raise RequestEntityTooLarge
        buffer[: len(data)] = data
        return len(data)


def limit_body(received: Request) -> None:
    """Give a request this stream, in place of Werkzeug's cached property."""
    if isinstance(received.environ["wsgi.input"], RequestBody):  # otherwise a middleware has read the body
        vars(received)["stream"] = _LimitedBody(received)


def _refuse_unreadable() -> None:
    environ = request.environ
    if "uwsgi.version" in environ and "HTTP_TRANSFER_ENCODING" in environ:
        raise LengthRequired  # uWSGI passes an empty body on

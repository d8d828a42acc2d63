"""The limit on the size of request bodies, with and without a Content-Length."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, request
from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge


def init_app(app: Flask, max_bytes: int) -> None:
    """Answer larger bodies with 413, and bodies that the server cannot read with 411."""
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    # First, because other functions may read the body.
    app.before_request_funcs.setdefault(None, []).insert(0, _limit_chunked_body)


class _LimitedBody:
    """A request body without a Content-Length. Reading more than the limit raises."""

    def __init__(self, body: Any, limit: int) -> None:
        self._body = body
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._body.read(self._left + 1 if size < 0 else size)
        self._left -= len(data)
        if self._left < 0:
            raise RequestEntityTooLarge
        return data


def _limit_chunked_body() -> None:
    environ = request.environ
    if "HTTP_TRANSFER_ENCODING" not in environ:
        return
    if "uwsgi.version" in environ:
        raise LengthRequired  # uWSGI passes an empty body on
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if limit is not None:
        # Werkzeug drops the rest of such a body after the limit, so that a truncated upload looks complete.
        environ["wsgi.input"] = _LimitedBody(environ["wsgi.input"], limit)
        request.max_content_length = limit + 1

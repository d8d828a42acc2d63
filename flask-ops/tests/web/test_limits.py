"""The limit of an application with ``limits`` is Flask's own setting, and leaves its request class in place."""

from __future__ import annotations

import pytest
from flask import Flask, Request, request

from flask_ops.web import limits


class OwnRequest(Request):
    """The request class of an application."""


@pytest.mark.parametrize(("limit", "statuses"), [(10, (200, 413)), (None, (200, 200))])
def test_a_limit_that_is_set_later_counts(limit: int | None, statuses: tuple[int, int]) -> None:
    app = Flask("limited")
    app.request_class = OwnRequest
    limits.init_app(app, 5)
    app.config["MAX_CONTENT_LENGTH"] = limit

    @app.post("/")
    def view() -> str:
        assert isinstance(request, OwnRequest)
        return str(len(request.get_data()))

    client = app.test_client()
    assert statuses == tuple(client.post("/", data=b"x" * size).status_code for size in (10, 11))

"""Flask's test client, whose requests are over when the call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.testing import FlaskClient

if TYPE_CHECKING:
    from werkzeug.test import TestResponse


class _CompleteClient(FlaskClient):
    def open(self, *args: Any, buffered: bool = True, follow_redirects: bool = False, **kwargs: Any) -> TestResponse:
        """Send a request, read the response to its end and close it."""
        return super().open(*args, buffered=buffered, follow_redirects=follow_redirects, **kwargs)


def complete_client(app: Flask) -> FlaskClient:
    """Return a client of the application's own class, ``app.test_client_class``, that closes responses."""
    own = app.test_client_class
    bases = (_CompleteClient,) if own is None else (_CompleteClient, own)
    client: FlaskClient = type("CompleteClient", bases, {})(app, app.response_class, use_cookies=True)
    return client

"""The routes of this service. Replace them with yours, as `service/views.py`."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from flask_ops.core.settings import Settings
from flask_ops.ops.app import create_app


@pytest.fixture
def client() -> FlaskClient:
    settings = {"SERVICE_ENV": "testing", "SERVICE_NAME": "shop", "SERVICE_VERSION": "1a2b3c"}
    return create_app(Settings.from_environ(settings), checks=()).test_client()


def test_the_first_page_tells_who_answers_in_which_version(client: FlaskClient) -> None:
    with client.get("/") as answer:
        assert {"name": "shop", "version": "1a2b3c"} == answer.get_json()

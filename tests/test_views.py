"""Tests of the routes. Replace them with yours, together with `service/views.py`."""

from __future__ import annotations

from flask.testing import FlaskClient

from service.settings import Settings


def test_the_first_page_tells_who_answers_in_which_version(client: FlaskClient, settings: Settings) -> None:
    assert {"name": settings.name, "version": settings.version} == client.get("/").get_json()


def test_an_unknown_page_is_answered_with_a_problem(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")

    assert (404, "application/problem+json") == (answer.status_code, answer.mimetype)

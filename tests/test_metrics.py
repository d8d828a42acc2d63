"""Tests of the metrics: the counts of a request."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient
from flask_ops.testing import MetricChanges
from prometheus_client import Counter

# In your service, this counter and the view below are in `service/`.
GREETINGS = Counter("test_greetings", "Greetings given.", ["language"])


def test_a_view_counts_what_it_does(app: Flask, client: FlaskClient, metrics: MetricChanges) -> None:
    @app.get("/test-greetings/<language>")
    def greet(language: str) -> str:
        GREETINGS.labels(language).inc()
        return "hello"

    client.get("/test-greetings/en")
    client.get("/test-greetings/de")

    assert 1 == metrics("test_greetings_total", language="en")
    assert 2 == metrics("test_greetings_total")


def test_each_request_is_counted_by_its_route(client: FlaskClient, metrics: MetricChanges) -> None:
    client.get("/healthz")
    client.get("/no-such-page")

    assert 1 == metrics("flask_http_request_total", method="GET", route="/healthz", status=200)
    assert 1 == metrics("flask_http_request_total", method="GET", route="unmatched", status=404)

"""Tests of the log lines: the line of a request, and the lines that views write."""

from __future__ import annotations

import structlog
from flask import Flask
from flask.testing import FlaskClient
from flask_ops.testing import LogLines


def test_a_view_adds_a_field_to_the_line_of_its_request(app: Flask, client: FlaskClient, log_lines: LogLines) -> None:
    # In your service, this view is in `service/views.py`.
    @app.get("/test-customers/<customer>")
    def show(customer: str) -> str:
        structlog.contextvars.bind_contextvars(customer=customer)
        structlog.get_logger().info("customer found", password="hunter2")
        return "found"

    client.get("/test-customers/c-17")

    [request] = log_lines("request", route="/test-customers/<customer>")
    assert ("c-17", 200) == (request["customer"], request["status"])
    [found] = log_lines("customer found")
    assert ("c-17", "[masked]") == (found["customer"], found["password"])
    assert request["request_id"] == found["request_id"]

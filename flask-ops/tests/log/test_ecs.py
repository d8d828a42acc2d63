"""Lines of Elastic Common Schema, compared with its published field names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import structlog

from flask_ops.core.settings import Settings
from flask_ops.log.line import Lines
from tests.log.test_phases import ENV, NOISE
from tests.process import BIN, running, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"

# Fields and types of Elastic Common Schema 8.11: https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html
# ecs-logging requires the first four in every line, and the first three in this order:
# https://github.com/elastic/ecs-logging/blob/main/spec/spec.json
ECS = {
    "@timestamp": "date",
    "log.level": "keyword",
    "message": "match_only_text",
    "ecs.version": "keyword",
    "client.address": "keyword",
    "error.message": "match_only_text",
    "error.stack_trace": "wildcard",
    "error.type": "keyword",
    "event.duration": "long",
    "event.outcome": "keyword",
    "http.request.id": "keyword",
    "http.request.method": "keyword",
    "http.response.body.bytes": "long",
    "http.response.status_code": "long",
    "labels": "object",
    "log.logger": "keyword",
    "process.thread.name": "keyword",
    "service.environment": "keyword",
    "service.name": "keyword",
    "service.version": "keyword",
    "span.id": "keyword",
    "trace.id": "keyword",
    "url.path": "wildcard",
    "url.query": "keyword",
    "user_agent.original": "keyword",
}
PYTHON = {"date": str, "keyword": str, "match_only_text": str, "wildcard": str, "long": int, "object": dict}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the lines of a noisy server."""
    env = {**ENV, "WEB_CONCURRENCY": "1", "SERVICE_LOG_FORMAT": "ecs", "SERVICE_LOG_QUERY": "true"}
    with running([BIN / "gunicorn", f"{NOISE}()"], tmp_path_factory.mktemp("ecs"), env) as server:
        headers = {"traceparent": TRACEPARENT, "X-Request-ID": "request-1", "User-Agent": "tester"}
        server.get("/noise?token=hunter2&q=1", headers)
        server.get("/boom", headers)
        wait_until(lambda: '"/boom"' in server.text(), "the last line")
        server.stop()
        return [json.loads(line) for line in server.text().splitlines()]


def test_lines_have_published_names_and_types_only_and_all_that_are_mapped(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert ["@timestamp", "log.level", "message"] == list(line)[:3]
        assert "ecs.version" in line
        assert {} == {name: value for name, value in line.items() if not isinstance(value, PYTHON[ECS[name]])}
        for name, label in line.get("labels", {}).items():
            assert "." not in name
            assert isinstance(label, (str, int, float, bool))
    assert ECS.keys() == {name for line in lines for name in line}


def test_a_request(lines: list[dict[str, Any]]) -> None:
    (line,) = [line for line in lines if line["message"] == "request" and line["url.path"] == "/boom"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp"])
    assert ("error", "failure", 500) == (line["log.level"], line["event.outcome"], line["http.response.status_code"])
    assert (TRACE, SPAN, "request-1") == (line["trace.id"], line["span.id"], line["http.request.id"])
    assert line["event.duration"] > 1000  # nanoseconds
    line["labels"].pop("queue_ms", None)  # if it had to wait
    assert {"route": "/boom", "outcome": "exception"} == line["labels"]


PAYMENT = {"status": "paid", "method": "card", "client": {"id": 1}, "bytes": 7, "path": "/tmp/f", "query": "SELECT 1"}  # noqa: S108 - only a name
ODD = {"thread": 5, "trace_id": ["t"], "span_id": None, "request_id": 7, "duration_ms": 2.5, "user_agent": "ann"}
PLAIN = {"thread": "main", "trace_id": TRACE, "span_id": SPAN}


def made(**fields: Any) -> dict[str, Any]:
    """Return the line that a log call writes."""
    line = Lines(Settings.from_environ({"SERVICE_LOG_FORMAT": "ecs"}))
    found: dict[str, Any] = json.loads(line.make({"level": "info", "event": "paid", **fields}))
    return found


def test_a_foreign_field_named_like_a_request_field_is_a_label() -> None:
    expected = {**PAYMENT, **ODD, "client": '{"id":1}', "trace_id": '["t"]', "span_id": "null"}

    assert expected == made(**PAYMENT, **ODD)["labels"]
    assert ["http.request.id"] == [name for name in made(request_id="r1") if name.startswith("http")]


def test_what_is_of_the_schemas_type_is_mapped_whoever_says_it() -> None:
    line = made(**PLAIN)

    assert ("main", TRACE, SPAN) == (line["process.thread.name"], line["trace.id"], line["span.id"])


def test_what_is_bound_to_the_context_is_no_field_of_the_request() -> None:
    with structlog.contextvars.bound_contextvars(query={"page": 2}, status="paid", order=7):
        request = {"method": "GET", "status": 200, "duration_ms": 1.5}
        make = Lines(Settings.from_environ({"SERVICE_LOG_FORMAT": "ecs"})).make_trusted
        line = json.loads(make("info", "request", request))

    assert {"query": '{"page":2}', "order": 7} == line["labels"]
    assert ("GET", 200, 1_500_000) == tuple(
        line[name] for name in ("http.request.method", "http.response.status_code", "event.duration")
    )


def test_a_label_has_no_dot_in_its_name() -> None:
    assert {"a_b": 1} == made(**{"a.b": 1})["labels"]


def test_an_exception_field_of_another_form_is_no_exception() -> None:
    line = made(exception={"type": "x", "message": "y"})

    assert [] == [key for key in line if key.startswith("error")]
    assert ["exception"] == list(line["labels"])


def test_no_line_shows_a_secret(lines: list[dict[str, Any]]) -> None:
    assert "hunter2" not in json.dumps(lines)

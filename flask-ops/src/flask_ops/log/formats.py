"""The mapping of our field names to the schemas of other systems."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from flask_ops.core.settings import Settings
from flask_ops.log.render import render_json

Map = Callable[[dict[str, Any], Collection[str]], dict[str, Any]]
"""Takes a line with our field names, and the names of the fields that describe a request. Returns the mapped line."""


class _Schema(NamedTuple):
    """The names of a schema, by our names.

    A ``status`` or ``method`` of another origin has nothing to do with HTTP, and may have another type. A log store
    rejects the whole line if a type does not match the schema.
    """

    texts: dict[str, str]
    """Fields of any line, if they are text."""
    of_request: dict[str, str]
    exception: dict[str, str]
    """The parts of ``flask_ops.log.tracebacks.as_text``."""

    def split(self, line: dict[str, Any], of_request: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields that the schema knows, with its names, and the other fields."""
        known: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in line.items():
            if name in of_request and name in self.of_request:
                known[self.of_request[name]] = value
            elif name in self.texts and isinstance(value, str):
                known[self.texts[name]] = value
            elif name == "exception" and isinstance(value, dict) and value.keys() == self.exception.keys():
                known.update({self.exception[part]: str(text) for part, text in value.items()})
            else:
                others[name] = value
        return known, others


_HTTP = {
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "status": "http.response.status_code",
    "client": "client.address",
    "user_agent": "user_agent.original",
}
_ECS = _Schema(
    texts={
        "request_id": "http.request.id",
        "trace_id": "trace.id",
        "span_id": "span.id",
        "logger": "log.logger",
        "thread": "process.thread.name",
    },
    of_request={**_HTTP, "bytes": "http.response.body.bytes"},
    exception={"type": "error.type", "message": "error.message", "stack_trace": "error.stack_trace"},
)
"""Elastic Common Schema 8, https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html"""
_OTEL = _Schema(
    texts={"thread": "thread.name"},
    of_request={**_HTTP, "route": "http.route", "bytes": "http.response.body.size"},
    exception={"type": "exception.type", "message": "exception.message", "stack_trace": "exception.stacktrace"},
)
"""OpenTelemetry's semantic conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/"""
_SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""https://opentelemetry.io/docs/specs/otel/logs/data-model/#mapping-of-severitynumber"""


def ecs(settings: Settings) -> Map:
    """Return the mapping to Elastic Common Schema 8, as ecs-logging expects it. Fields unknown to ECS become labels."""
    always = {
        "ecs.version": "8.11.0",
        "service.version": settings.version,
        "service.environment": str(settings.mode),
    }

    def to_ecs(line: dict[str, Any], of_request: Collection[str]) -> dict[str, Any]:
        mapped = {
            "@timestamp": line.pop("timestamp"),
            "log.level": line.pop("level"),
            "message": line.pop("event"),
            "service.name": line.pop("service"),
        }
        line.pop("trace_flags", None)
        if "duration_ms" in of_request:
            mapped["event.duration"] = round(line.pop("duration_ms") * 1_000_000)  # nanoseconds
        if "status" in of_request:
            mapped["event.outcome"] = "failure" if line["status"] >= 500 or "outcome" in of_request else "success"
        known, others = _ECS.split(line, of_request)
        # A label is a keyword and cannot hold objects. A dot in its name would create one.
        labels = {
            str(name).replace(".", "_"): value if isinstance(value, (str, int, float)) else render_json(value).decode()
            for name, value in others.items()
        }
        return mapped | known | always | ({"labels": labels} if labels else {})

    return to_ecs


def otel(settings: Settings) -> Map:
    """Return the mapping to OpenTelemetry's log data model, with field names in snake case."""
    resource = {
        "service.name": settings.name,
        "service.version": settings.version,
        "deployment.environment.name": str(settings.mode),
    }

    def to_otel(line: dict[str, Any], of_request: Collection[str]) -> dict[str, Any]:
        level = line.pop("level")
        mapped = {
            "timestamp": line.pop("timestamp"),
            "severity_text": level,
            "severity_number": _SEVERITY[level],
            "body": line.pop("event"),
            "resource": resource,
        }
        line.pop("service")
        for name in ("trace_id", "span_id", "trace_flags"):
            if isinstance(line.get(name), str):
                mapped[name] = line.pop(name)
        if isinstance(line.get("logger"), str):
            mapped["instrumentation_scope"] = {"name": line.pop("logger")}
        known, others = _OTEL.split(line, of_request)
        attributes = {str(name): value for name, value in others.items()} | known
        return mapped | ({"attributes": attributes} if attributes else {})

    return to_otel

"""The mapping of our field names to the schemas of other systems."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from typing import Any

from flask_ops.core.settings import Settings
from flask_ops.log.render import render_json

ECS_VERSION = "8.11.0"

Map = Callable[[dict[str, Any], Collection[str]], dict[str, Any]]
"""Takes a line with our field names, and the names of the fields that describe a request. Returns the mapped line.

A ``status`` or ``method`` of another origin has nothing to do with HTTP, and may have another type. A log store
rejects the whole line if a type does not match the schema.
"""

_ECS = {
    "request_id": "http.request.id",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "logger": "log.logger",
    "thread": "process.thread.name",
}
_ECS_OF_REQUEST = {
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "status": "http.response.status_code",
    "bytes": "http.response.body.bytes",
    "client": "client.address",
    "user_agent": "user_agent.original",
}
"""Elastic Common Schema 8, https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html"""

_OTEL = {"thread": "thread.name"}
_OTEL_OF_REQUEST = {
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "route": "http.route",
    "status": "http.response.status_code",
    "bytes": "http.response.body.size",
    "client": "client.address",
    "user_agent": "user_agent.original",
}
"""OpenTelemetry's semantic conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/"""

_SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""https://opentelemetry.io/docs/specs/otel/logs/data-model/#mapping-of-severitynumber"""


def _is_text(exception: Any) -> bool:
    """Tell whether ``flask_ops.log.tracebacks.as_text`` made this value, not a caller that uses the same name."""
    if not isinstance(exception, dict) or exception.keys() != {"type", "message", "stack_trace"}:
        return False
    return all(isinstance(value, str) for value in exception.values())


def _free(name: str, taken: Container[str]) -> str:
    """Return ``name``, with underscores appended until it is not ``taken``."""
    while name in taken:
        name += "_"
    return name


def ecs(settings: Settings) -> Map:
    """Return the mapping to Elastic Common Schema 8, as ecs-logging expects it. Fields unknown to ECS become labels."""
    always = {
        "ecs.version": ECS_VERSION,
        "service.version": settings.version,
        "service.environment": str(settings.mode),
    }

    def to_ecs(line: dict[str, Any], of_request: Collection[str]) -> dict[str, Any]:
        mapped: dict[str, Any] = {
            "@timestamp": line.pop("timestamp"),
            "log.level": line.pop("level"),
            "message": line.pop("event"),
            "service.name": line.pop("service"),
        }
        labels: dict[str, Any] = {}
        for name, value in line.items():
            if name in of_request and name in _ECS_OF_REQUEST:
                mapped[_ECS_OF_REQUEST[name]] = value
            elif name in _ECS and isinstance(value, str):
                mapped[_ECS[name]] = value
            elif name == "exception" and _is_text(value):
                mapped.update({f"error.{key}": item for key, item in value.items()})
            elif name == "duration_ms" and name in of_request:
                mapped["event.duration"] = round(value * 1_000_000)  # nanoseconds
            elif name != "trace_flags":
                # A label is a keyword and cannot hold objects. A dot in its name would create one.
                plain = isinstance(value, (str, int, float, bool))
                label = _free(str(name).replace(".", "_"), labels)
                labels[label] = value if plain else render_json(value).decode()
        if "status" in of_request:
            mapped["event.outcome"] = "failure" if line["status"] >= 500 or "outcome" in of_request else "success"
        mapped.update(always)
        if labels:
            mapped["labels"] = labels
        return mapped

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
        }
        for name in ("trace_id", "span_id", "trace_flags"):
            if isinstance(line.get(name), str):
                mapped[name] = line.pop(name)
        line.pop("service")
        mapped["resource"] = resource
        if isinstance(line.get("logger"), str):
            mapped["instrumentation_scope"] = {"name": line.pop("logger")}
        attributes: dict[str, Any] = {}
        for name, value in line.items():
            if name in of_request and name in _OTEL_OF_REQUEST:
                attributes[_OTEL_OF_REQUEST[name]] = value
            elif name in _OTEL and isinstance(value, str):
                attributes[_OTEL[name]] = value
            elif name == "exception" and _is_text(value):
                attributes["exception.type"], attributes["exception.message"] = value["type"], value["message"]
                attributes["exception.stacktrace"] = value["stack_trace"]
            else:
                attributes[_free(str(name), attributes)] = value
        if attributes:
            mapped["attributes"] = attributes
        return mapped

    return to_otel

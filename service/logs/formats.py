"""The field names of a log line in other systems' schemas, made from our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.logs.render import render_json
from service.settings import Settings

ECS_VERSION = "8.11.0"

Map = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a line with our field names, returns one with others."""

_ECS = {
    "timestamp": "@timestamp",
    "level": "log.level",
    "event": "message",
    "service": "service.name",
    "logger": "log.logger",
    "request_id": "http.request.id",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "status": "http.response.status_code",
    "bytes": "http.response.body.bytes",
    "client": "client.address",
    "user_agent": "user_agent.original",
    "thread": "process.thread.name",
}
"""Elastic Common Schema 8, https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html"""

_OTEL = {
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "route": "http.route",
    "status": "http.response.status_code",
    "bytes": "http.response.body.size",
    "client": "client.address",
    "user_agent": "user_agent.original",
    "thread": "thread.name",
}
"""OpenTelemetry's semantic conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/"""

_SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""https://opentelemetry.io/docs/specs/otel/logs/data-model/#mapping-of-severitynumber"""


def _is_text(exception: Any) -> bool:
    """Tell what ``service.logs.tracebacks.as_text`` has made from what somebody has called so."""
    return isinstance(exception, dict) and exception.keys() == {"type", "message", "stack_trace"}


def ecs(settings: Settings) -> Map:
    """Return the mapping to Elastic Common Schema 8, as ecs-logging wants it; what ECS does not know is a label."""
    always = {
        "ecs.version": ECS_VERSION,
        "service.version": settings.version,
        "service.environment": str(settings.mode),
    }

    def to_ecs(line: dict[str, Any]) -> dict[str, Any]:
        mapped: dict[str, Any] = {}
        labels: dict[str, Any] = {}
        for name, value in line.items():
            if name in _ECS:
                mapped[_ECS[name]] = value
            elif name == "exception" and _is_text(value):
                mapped.update({f"error.{key}": item for key, item in value.items()})
            elif name == "duration_ms" and type(value) is float:
                mapped["event.duration"] = round(value * 1_000_000)  # nanoseconds
            elif name != "trace_flags":
                # A label is a keyword and holds no objects; a dot would make one.
                plain = isinstance(value, (str, int, float, bool))
                labels[str(name).replace(".", "_")] = value if plain else render_json(value).decode()
        if type(line.get("status")) is int:
            mapped["event.outcome"] = "failure" if line["status"] >= 500 or "outcome" in line else "success"
        mapped.update(always)
        if labels:
            mapped["labels"] = labels
        return mapped

    return to_ecs


def otel(settings: Settings) -> Map:
    """Return the mapping to OpenTelemetry's log data model, its field names in JSON's usual form."""
    resource = {
        "service.name": settings.name,
        "service.version": settings.version,
        "deployment.environment.name": str(settings.mode),
    }

    def to_otel(line: dict[str, Any]) -> dict[str, Any]:
        level = line.pop("level")
        mapped = {
            "timestamp": line.pop("timestamp"),
            "severity_text": level,
            "severity_number": _SEVERITY.get(level, _SEVERITY["info"]),
            "body": line.pop("event"),
        }
        for name in ("trace_id", "span_id", "trace_flags"):
            if name in line:
                mapped[name] = line.pop(name)
        line.pop("service")
        mapped["resource"] = resource
        if "logger" in line:
            mapped["instrumentation_scope"] = {"name": line.pop("logger")}
        exception = line.pop("exception", None)
        attributes = {_OTEL.get(name, name): value for name, value in line.items()}
        if _is_text(exception):
            attributes["exception.type"], attributes["exception.message"] = exception["type"], exception["message"]
            attributes["exception.stacktrace"] = exception["stack_trace"]
        elif exception is not None:
            attributes["exception"] = exception
        if attributes:
            mapped["attributes"] = attributes
        return mapped

    return to_otel

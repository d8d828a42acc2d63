"""The names of our fields in Elastic Common Schema 8. Elastic's own agents read such lines as those of ecs-logging.

Source: https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from flask_ops.core.settings import Settings
from flask_ops.log.render import render_json

_TEXTS = {
    "request_id": "http.request.id",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "logger": "log.logger",
    "thread": "process.thread.name",
}
"""Fields of any line, if they are text. Elasticsearch rejects a whole line if a type does not match the schema."""
_OF_REQUEST = {
    "method": "http.request.method",
    "path": "url.path",
    "query": "url.query",
    "status": "http.response.status_code",
    "client": "client.address",
    "user_agent": "user_agent.original",
    "bytes": "http.response.body.bytes",
}
"""Fields of the line of a request. A ``status`` of another origin has nothing to do with HTTP."""
_EXCEPTION = {"type": "error.type", "message": "error.message", "stack_trace": "error.stack_trace"}
"""The parts of ``flask_ops.log.tracebacks.as_text``."""


def mapping(settings: Settings) -> Callable[[dict[str, Any], Collection[str]], dict[str, Any]]:
    """Return a function that maps a line, given the names of its fields that describe a request."""
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
            **always,
        }
        line.pop("trace_flags", None)
        if "duration_ms" in of_request:
            mapped["event.duration"] = round(line.pop("duration_ms") * 1_000_000)  # nanoseconds
        if "status" in of_request:
            mapped["event.outcome"] = "failure" if line["status"] >= 500 or "outcome" in of_request else "success"
        labels = {}
        for name, value in line.items():
            if name in of_request and name in _OF_REQUEST:
                mapped[_OF_REQUEST[name]] = value
            elif name in _TEXTS and isinstance(value, str):
                mapped[_TEXTS[name]] = value
            elif name == "exception" and isinstance(value, dict) and value.keys() == _EXCEPTION.keys():
                mapped.update({_EXCEPTION[part]: str(text) for part, text in value.items()})
            else:
                # A label is a keyword and cannot hold objects. A dot in its name would create one.
                is_scalar = isinstance(value, (str, int, float))
                labels[str(name).replace(".", "_")] = value if is_scalar else render_json(value).decode()
        return mapped | ({"labels": labels} if labels else {})

    return to_ecs

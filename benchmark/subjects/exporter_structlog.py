"""The exporter with structlog, as documented for Flask and the standard library.

``ProcessorFormatter`` renders the lines of structlog and of ``logging`` as JSON. A handler of ``request_started`` binds
the fields of the request. Each request logs one line.
"""

from __future__ import annotations

import logging.config
from typing import Any

import structlog
from flask import Flask, Response, request, request_started
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

from benchmark.subjects.views import add_index, add_load

timestamper = structlog.processors.TimeStamper(fmt="iso")
shared_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    timestamper,
]

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.dict_tracebacks,
                    structlog.processors.JSONRenderer(),
                ],
                "foreign_pre_chain": shared_processors,
            }
        },
        "handlers": {"default": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["default"], "level": "INFO"},
    }
)
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        timestamper,
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

app = Flask(__name__)
metrics = GunicornPrometheusMetrics(app)
add_index(app)
add_load(app)
log = structlog.stdlib.get_logger("requests")


@request_started.connect_via(app)
def bind_request_details(sender: Flask, **extra: Any) -> None:  # noqa: ARG001 - the signal defines them
    """Bind the fields for every line of this request."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(
        request_id=request.headers.get("X-Unique-ID", "NONE"), peer=request.remote_addr
    )


@app.after_request
def log_request(response: Response) -> Response:
    """Log one line for the request."""
    log.info("request", method=request.method, path=request.path, status=response.status_code)
    return response

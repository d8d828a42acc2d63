"""OpenTelemetry's instrumentation of Flask, with python-json-logger.

The setup follows the documentation of the instrumentations. Prometheus can scrape the metrics. Spans have no exporter,
which would add cost. Every record of ``logging`` has the ids of the span. Each request logs one line of JSON. Each
worker creates the providers, because their threads do not survive a fork.
"""

from __future__ import annotations

import logging
import sys

from flask import Flask, Response, request
from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pythonjsonlogger.json import JsonFormatter

from benchmark.subjects.views import add_index, add_load

resource = Resource.create({SERVICE_NAME: "service"})
trace.set_tracer_provider(TracerProvider(resource=resource))
metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))

LoggingInstrumentor().instrument()
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(
    JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s %(otelTraceID)s %(otelSpanID)s %(otelServiceName)s")
)
logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)
add_index(app)
add_load(app)
log = logging.getLogger("requests")


@app.after_request
def log_request(response: Response) -> Response:
    """Log one line for the request."""
    log.info("request", extra={"method": request.method, "path": request.path, "status": response.status_code})
    return response


@app.get("/metrics")
def show_metrics() -> Response:
    """Return the metrics of the worker that responds."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

"""An application that has an exporter of its own and a gauge with a function, from before it knew this library."""

from __future__ import annotations

import os

from flask import Flask
from prometheus_client import Gauge
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
PrometheusMetrics(app, defaults_prefix=os.environ.get("EXPORTER_PREFIX", "flask"))
Gauge("connections", "Open connections.", ["pool"], multiprocess_mode="livemin").labels("a").set_function(lambda: 42)

if "WITH_OPS" in os.environ:
    from flask_ops import Ops

    Ops(app)

Gauge("jobs", "Waiting jobs.", multiprocess_mode="livemin").set_function(lambda: 42)


@app.get("/work")
def work() -> str:
    return "done"

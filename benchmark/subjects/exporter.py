"""prometheus-flask-exporter, as documented for Gunicorn. The hooks are in ``exporter_gunicorn.py``."""

from __future__ import annotations

from flask import Flask
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

from benchmark.subjects.views import add_index, add_load

app = Flask(__name__)
metrics = GunicornPrometheusMetrics(app)
add_index(app)
add_load(app)

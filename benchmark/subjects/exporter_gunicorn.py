"""Gunicorn's configuration from the documentation of prometheus-flask-exporter.

``host`` limits the listener to loopback. By default it listens on every interface.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics


def when_ready(server: Any) -> None:  # noqa: ARG001 - Gunicorn defines the arguments of hooks
    """Serve the metrics from the master."""
    GunicornPrometheusMetrics.start_http_server_when_ready(int(os.environ["METRICS_PORT"]), host="127.0.0.1")


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - see above
    """Tell prometheus_client which process has ended."""
    GunicornPrometheusMetrics.mark_process_dead_on_child_exit(worker.pid)

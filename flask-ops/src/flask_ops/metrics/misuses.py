"""Uses of prometheus_client and of the exporter that would show wrong values without a word. Each is reported once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from prometheus_client import REGISTRY, Gauge
from prometheus_client.metrics_core import Metric

from flask_ops.metrics.families import Key

_COUNTED = frozenset({"flask_http_request", "flask_http_request_exceptions", "flask_http_request_duration_seconds"})
"""The metrics of requests, which have these names in prometheus_flask_exporter too."""
_NEVER_SET = -1.0
"""The timestamp of a gauge that is not exported. prometheus_client has no negative ones."""

_reported: set[str] = set()
_log = structlog.stdlib.get_logger(__name__)


def counts_twice(key: Key) -> bool:
    """Tell whether a second exporter made this series: its requests have no route, and count already."""
    metric_name, _, labels, _ = key
    if metric_name not in _COUNTED or any(label == "route" for label, _ in labels):
        return False
    _report_second_exporter()
    return True


def registered() -> Iterable[Metric]:
    """Yield the metrics of the application. Those of requests are not among them unless a second exporter made them."""
    for metric in REGISTRY.collect():
        if metric.name in _COUNTED:
            _report_second_exporter()
        else:
            yield metric


def _report_second_exporter() -> None:
    hint = 'PrometheusMetrics(app, export_defaults=False), or defaults_prefix="app" to keep its metrics'
    _report("flask_http_request", "a second exporter counts the same requests, and is left out", hint=hint)


def watch_gauge_functions() -> None:
    """Export no gauge that has a function: prometheus_client calls it only if no store is shared, and exports 0."""
    set_function = Gauge.set_function

    def refuse(gauge: Gauge, function: Callable[[], float]) -> None:
        set_function(gauge, function)
        _refuse(gauge)

    Gauge.set_function = refuse  # type: ignore[method-assign, assignment] # for every caller
    for metric in [*REGISTRY._collector_to_names]:
        if isinstance(metric, Gauge):
            for gauge in [metric, *getattr(metric, "_metrics", {}).values()]:
                if "_child_samples" in vars(gauge):
                    _refuse(gauge)


def _refuse(gauge: Any) -> None:
    gauge._value.set(0.0, timestamp=_NEVER_SET)
    name = gauge._name
    _report(name, "gauge with a function is not exported", gauge=name, hint="call set() each time the value changes")


def is_exported(timestamp: float) -> bool:
    """Tell whether the gauge with this timestamp in the store has a value."""
    return timestamp != _NEVER_SET


def _report(what: str, event: str, **fields: str) -> None:
    if what not in _reported:
        _reported.add(what)
        _log.warning(event, **fields)

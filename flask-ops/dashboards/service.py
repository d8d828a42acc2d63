"""The page of one service. Each row is a module of its own."""

from __future__ import annotations

from itertools import count

from grafana_foundation_sdk.builders import dashboard

from dashboards import (
    service_health,
    service_objectives,
    service_overview,
    service_process,
    service_saturation,
    service_traffic,
)
from dashboards.board import (
    PrometheusAnnotation,
    alerts_of_grafana,
    board,
    hidden_variable,
    runbook_link,
    variable,
)
from dashboards.parts import NAME

UID = "service"
_ROWS = (
    service_overview,
    service_traffic,
    service_objectives,
    service_saturation,
    service_process,
    service_health,
)


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    built = (
        board(
            UID,
            "Service",
            "The four golden signals by route, objectives and error budget, saturation, workers, and health checks.",
            "service_build_info",
        )
        .with_variable(variable("instance", "Instance", "service_build_info{SERVICE}, instance"))
        .with_variable(variable("route", "Route", "flask_http_request_total{HERE}, route"))
        .with_variable(hidden_variable("runbook", "Runbook", "service_owner_info{SERVICE}, runbook_url"))
        .link(runbook_link())
        .annotation(alerts_of_grafana())
        .annotation(
            PrometheusAnnotation(
                "Restarts",
                "blue",
                "process_start_time_seconds{HERE} * 1000",
                titleFormat="{{instance}} was started",
                textFormat=NAME,
                tagKeys="instance",
                useValueForTime=True,
            )
        )
        .annotation(
            PrometheusAnnotation(
                "Alerts",
                "red",
                'ALERTS{SERVICE,alertstate="firing"}',
                titleFormat="{{alertname}}",
                textFormat="{{instance}} {{slo}} {{route}} {{check}}",
                tagKeys="severity",
                useValueForTime=False,
            )
        )
    )
    numbers = count(1)
    for row in _ROWS:
        built.with_row(dashboard.Row(row.TITLE).id(next(numbers)))
        for panel in row.panels():
            built.with_panel(panel.id(next(numbers)))
    return built

"""The row "Overview" of a service's page."""

from __future__ import annotations

from dashboards.parts import BUDGET, BY, NAME, Panel, number

TITLE = "Overview"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        number(
            "Instances up",
            "Share of targets that Prometheus can scrape.",
            ("avg(up{HERE})", "up"),
            "ServiceTargetDown",
            "ServiceTargetAbsent",
            steps=[(None, "red"), (1, "green")],
        ),
        number(
            "Instances ready",
            "Share of targets in which every worker is ready to take traffic. A target is not ready if it is down, "
            "drains or has no worker.",
            ("(sum(service_ready{HERE}) or vector(0)) / count(up{HERE})", "ready"),
            "ServiceNotReady",
            steps=[(None, "red"), (0.5, "orange"), (1, "green")],
        ),
        number(
            "Availability budget left",
            "Share of the allowed failures of 30 days that is left. Prometheus must keep 35 days of data. With less "
            "data, the panel covers fewer days. Below 0 the objective is missed.",
            ('job_slo:error_budget_left:ratio30d{SERVICE,slo="availability"}', f"{NAME} {{{{route}}}}"),
            "ServiceErrorBudgetGoneIn30Days",
            decimals=1,
            steps=BUDGET,
        ),
        number(
            "Latency budget left",
            "Share of the allowed slow requests of 30 days that is left. Prometheus must keep 35 days of data. With "
            "less data, the panel covers fewer days. Below 0 the objective is missed.",
            ('job_slo:error_budget_left:ratio30d{SERVICE,slo="latency"}', f"{NAME} {{{{route}}}}"),
            "ServiceErrorBudgetGoneIn30Days",
            decimals=1,
            steps=BUDGET,
        ),
        number(
            "Threads in use",
            "Share of busy threads among the threads that can serve requests, on the busiest instance.",
            (
                f"max(sum by ({BY}, instance) (service_requests_in_flight{{HERE}}) / (sum by ({BY}, instance) "
                "(service_worker_threads{HERE}) > 0))",
                "busiest",
            ),
            "ServiceThreadsSaturated",
            steps=[(None, "green"), (0.7, "orange"), (0.9, "red")],
        ),
        number(
            "Versions",
            "Number of instances for each version.",
            ("count by (version) (service_build_info{HERE})", "{{version}}"),
            "ServiceErrorBudgetGoneIn2Days",
            unit="short",
            names=True,
        ),
    ]

"""The row "Objectives and error budget" of a service's page."""

from __future__ import annotations

from dashboards.parts import BUDGET, NAME, Panel, lines

TITLE = "Objectives and error budget"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        lines(
            "Budget left",
            "Share of the error budget of 30 days that is left. Prometheus must keep 35 days of data. With less "
            "data, the panel covers fewer days. Below 0 the objective is missed. With few requests, a single bad "
            "request uses more than the budget.",
            [("job_slo:error_budget_left:ratio30d{SERVICE}", f"{NAME} {{{{slo}}}} {{{{route}}}}")],
            "ServiceErrorBudgetGoneIn30Days",
            unit="percentunit",
            calcs=["lastNotNull", "min"],
            low=None,
            high=1,
            width=12,
            steps=BUDGET,
        ),
        lines(
            "Burn rate",
            "How many times as fast as allowed the service uses its error budget, over several windows. 14.4 over "
            "one hour pages, and 6 over six hours pages.",
            [
                ("job_slo:error_budget_burn:ratio5m{SERVICE}", "{{slo}} {{route}} over 5m"),
                ("job_slo:error_budget_burn:ratio1h{SERVICE}", "{{slo}} {{route}} over 1h"),
                ("job_slo:error_budget_burn:ratio6h{SERVICE}", "{{slo}} {{route}} over 6h"),
                ("job_slo:error_budget_burn:ratio1d{SERVICE}", "{{slo}} {{route}} over 1d"),
                ("job_slo:error_budget_burn:ratio3d{SERVICE}", "{{slo}} {{route}} over 3d"),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            "ServiceErrorBudgetGoneIn5Days",
            "ServiceErrorBudgetGoneIn10Days",
            unit="none",
            calcs=["lastNotNull", "max"],
            width=12,
            steps=[(None, "green"), (6, "orange"), (14.4, "red")],
        ),
    ]

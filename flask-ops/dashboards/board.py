"""The common parts of both dashboards: settings, variables, links and annotations."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from dashboards.parts import ENVIRONMENT, PROMETHEUS, RUNBOOK, expand


def board(uid: str, title: str, description: str, services: str) -> dashboard.Dashboard:
    """Return a dashboard without panels, with the variables that choose services. ``services`` has a series of each.

    It comes from a file, so Grafana does not let people edit it.
    """
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["service"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(variable("job", "Job", f"{services}, job"))
    )
    for label in ENVIRONMENT:  # targets without the label are included
        query = f'{services}{{job=~"$job"}}, {label}'
        built.with_variable(variable(label, label.title(), query, any_value=".*"))
    return built


def variable(name: str, label: str, values: str, *, any_value: str = ".+") -> dashboard.QueryVariable:
    """Return a variable with the values that a query finds. One or several can be chosen, or all."""
    return (
        _query_variable(name, label, values)
        .multi(True)
        .include_all(True)
        .all_value(any_value)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def hidden_variable(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """Return a variable for links, with the first value that a query finds."""
    return _query_variable(name, label, values).hide(VariableHide.HIDE_VARIABLE)


def _query_variable(name: str, label: str, values: str) -> dashboard.QueryVariable:
    query = f"label_values({expand(values)})"
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def runbook_link() -> dashboard.DashboardLink:
    """Return the link to the runbook at the top of a dashboard."""
    return (
        dashboard.DashboardLink("Runbook")
        .type(DashboardLinkType.LINK)
        .url(RUNBOOK)
        .icon("doc")
        .target_blank(True)
        .tooltip("What each alert means and what to do")
    )


class PrometheusAnnotation(AnnotationQuery, Builder[AnnotationQuery]):
    """An annotation for each sample of a query, with the fields that only Prometheus has."""

    def __init__(self, name: str, color: str, query: str, **fields: object) -> None:
        super().__init__(name=name, icon_color=color, enable=True, hide=False, datasource=PROMETHEUS)
        self._fields = {"expr": expand(query), "step": "30s", **fields}

    def build(self) -> AnnotationQuery:
        """Return this object: builders of dashboards expect builders."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the fields of the file."""
        return {**super().to_json(), **self._fields}


def alerts_of_grafana() -> dashboard.AnnotationQuery:
    """Return the annotation that every dashboard has."""
    return (
        dashboard.AnnotationQuery()
        .name("Annotations & Alerts")
        .type("dashboard")
        .datasource(DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True)
        .hide(True)
        .icon_color("rgba(0, 211, 255, 1)")
        .built_in(1)
    )

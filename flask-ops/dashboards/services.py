"""The overview of all services: a table with one row each, which links to the page of the service."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, prometheus, table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import table as table_options
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, Panel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from dashboards import service
from dashboards.board import alerts_of_grafana, board, hidden_variable, runbook_link
from dashboards.parts import BUDGET, BY, ENVIRONMENT, NAME, PROMETHEUS, Steps, expand, lines, runbook, thresholds


def _rate(counter: str, slo: str) -> str:
    """Return the query of a counter of the objectives, per second. Each request counts for one objective of a kind."""
    return f'sum by ({BY}) (rate({counter}{{SERVICE,slo="{slo}"}}[$__rate_interval]))'


def _share(slo: str) -> str:
    """Return the query of the share of bad requests."""
    return f"{_rate('service_slo_bad_events_total', slo)} / ({_rate('service_slo_events_total', slo)} > 0)"


_UP = f"sum by ({BY}) (up{{SERVICE}} and on ({BY}) job:service_owner:info{{SERVICE}})"

COLUMNS: dict[str, tuple[str, str, Steps]] = {
    "Budget left": (
        f"min by ({BY}) (job_slo:error_budget_left:ratio30d{{SERVICE}})",
        "percentunit",
        BUDGET,
    ),
    "Requests": (_rate("service_slo_events_total", "availability"), "reqps", []),
    "Errors": (_share("availability"), "percentunit", []),
    "Slow": (_share("latency"), "percentunit", []),
    "Threads in use": (
        f"max by ({BY}) (job_instance:threads_in_use:ratio{{SERVICE}})",
        "percentunit",
        [(None, "green"), (0.7, "orange"), (0.9, "red")],
    ),
    "Instances up": (
        f"{_UP} or 0 * max by ({BY}) (job:service_owner:info{{SERVICE}})",
        "short",
        [(None, "red"), (1, "green")],
    ),
    "Version": (
        f"topk by ({BY}) (1, count by ({BY}, version) (service_build_info{{SERVICE}}))",
        "short",
        [],
    ),
}
"""The columns: query, unit and colours. The column of the version shows its label instead of the value."""
_PLACE = "&".join(f"var-{label}=${{__data.fields.{label}}}" for label in ENVIRONMENT)
_LINK = f"/d/{service.UID}?var-job=${{__value.raw}}&{_PLACE}&${{datasource:queryparam}}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    return (
        board(
            "services",
            "Services",
            "One row for each service: error budget, traffic, errors, slow requests, saturation, version.",
            "job:service_owner:info",
        )
        .with_variable(hidden_variable("runbook", "Runbook", "service_owner_info{SERVICE}, runbook_url"))
        .link(runbook_link())
        .annotation(alerts_of_grafana())
        .with_panel(_table().id(1))
        .with_panel(
            lines(
                "Burn rate over one hour",
                "How many times as fast as allowed each service uses its error budget. Above 14.4 it pages.",
                [("job_slo:error_budget_burn:ratio1h{SERVICE}", f"{NAME} {{{{slo}}}} {{{{route}}}}")],
                "ServiceErrorBudgetGoneIn2Days",
                unit="none",
                steps=[(None, "green"), (14.4, "red")],
                calcs=("lastNotNull", "max"),
                width=24,
            ).id(2)
        )
    )


class _Table(table.Panel):
    """A table without the option ``footer``, which Grafana 12 removed. Grafana 11 shows no footer without it."""

    def build(self) -> Panel:
        panel = super().build()
        if isinstance(panel.options, table_options.Options):
            panel.options.footer = None
        return panel


def _table() -> _Table:
    panel = (
        _Table()
        .title("Services")
        .description(
            "The lowest error budget of all objectives of a service, and its values now. Errors and slow requests are "
            "shares of the requests that count for its objectives: a refused request is an error, and time in the "
            "queue counts. A service that has disappeared stays for seven days, with 0 instances up. The version is "
            "the one that most instances run."
        )
        .datasource(PROMETHEUS)
        .links(runbook("ServiceErrorBudgetGoneIn30Days", "ServiceTargetAbsent"))
        .unit("short")
        .height(18)
        .span(24)
        .sort_by([common.TableSortByFieldState().display_name("Budget left")])
        .filterable(True)
    )
    names = {}
    for i, (name, (query, unit, steps)) in enumerate(COLUMNS.items()):
        ref_id = chr(ord("A") + i)
        panel.with_target(_now(query, ref_id))
        names[f"Value #{ref_id}"] = name
        properties = [DynamicConfigValue("unit", unit)]
        if steps:
            properties.append(DynamicConfigValue("thresholds", thresholds(steps).build()))
            color = options.TableColoredBackgroundCellOptions(mode=options.TableCellBackgroundDisplayMode.BASIC)
            properties.append(DynamicConfigValue("custom.cellOptions", color))
        panel.override_by_name(name, properties)
    panel.override_by_name("Job", [DynamicConfigValue("links", [{"title": "Page of the service", "url": _LINK}])])
    labels = {label: label.title() for label in (*ENVIRONMENT, "job")}
    return panel.with_transformation(DataTransformerConfig(id_val="merge", options={})).with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True, "Value #G": True},
                "indexByName": {name: i for i, name in enumerate([*labels, *names, "version"])},
                "renameByName": {**names, **labels, "version": "Version"},
            },
        )
    )


def _now(query: str, ref_id: str) -> prometheus.Dataquery:
    """Return a query for the current values, as a table."""
    return (
        prometheus.Dataquery()
        .expr(expand(query))
        .legend_format("__auto")
        .ref_id(ref_id)
        .editor_mode(QueryEditorMode.CODE)
        .format(PromQueryFormat.TABLE)
        .instant()
        .datasource(PROMETHEUS)
    )

"""The kinds of panels, with the options that all panels of a kind share."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import QueryEditorMode

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOK = "${runbook}"
"""The address of the runbook, from ``SERVICE_RUNBOOK_URL`` of the chosen service."""

ENVIRONMENT = ("cluster", "env", "environment", "namespace")
"""The labels that tell services of one job apart, as in the rules. Many targets have none of them."""
BY = ", ".join([*ENVIRONMENT, "job"])
NAME = " ".join(f"{{{{{label}}}}}" for label in (*ENVIRONMENT, "job"))
"""The legend that names a service."""

_SERVICE = ",".join(f'{label}=~"${label}"' for label in ("job", *ENVIRONMENT))
_HERE = f'{_SERVICE},instance=~"$instance"'
_SELECTORS = {"{SERVICE": "{" + _SERVICE, "{HERE": "{" + _HERE, "{ROUTE": "{" + _HERE + ',route=~"$route"'}

Query = tuple[str, str]
"""PromQL and legend. ``{SERVICE}``, ``{HERE}`` and ``{ROUTE}`` select what the variables of the dashboard choose."""
Panel = stat.Panel | statetimeline.Panel | timeseries.Panel
Steps = Sequence[tuple[float | None, str]]
"""The colours of values, each with the value from which it counts."""

GREEN: Steps = [(None, "green")]
BUDGET: Steps = [(None, "red"), (0, "orange"), (0.25, "green")]


def expand(query: str) -> str:
    """Return PromQL with the selectors of the variables."""
    for short, selector in _SELECTORS.items():
        query = query.replace(short, selector)
    return query


def target(query: Query, ref_id: str) -> prometheus.Dataquery:
    """Return a query over the time range."""
    expr, legend = query
    return (
        prometheus.Dataquery()
        .expr(expand(expr))
        .legend_format(legend)
        .ref_id(ref_id)
        .editor_mode(QueryEditorMode.CODE)
        .range()
        .datasource(PROMETHEUS)
    )


def thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    """Return the colours of values."""
    found = [Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def runbook(*alerts: str) -> list[Builder[DashboardLink]]:
    """Return links to headings of the runbook, or to the runbook itself."""
    places = {f"Runbook: {alert}": f"{RUNBOOK}#{alert.lower()}" for alert in alerts} or {"Runbook": RUNBOOK}
    return [
        dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)
        for title, url in places.items()
    ]


def number(
    title: str,
    description: str,
    query: Query,
    *alerts: str,
    unit: str = "percentunit",
    steps: Steps = GREEN,
    decimals: int | None = None,
    names: bool = False,
) -> stat.Panel:
    """Return a panel with the last value of a query. ``names`` shows the names of the series too."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .links(runbook(*alerts))
        .with_target(target(query, "A"))
        .unit(unit)
        .thresholds(thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.NONE if names else options.BigValueGraphMode.AREA)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME if names else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .height(4)
        .span(4)
    )
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    *alerts: str,
    unit: str,
    steps: Steps = GREEN,
    calcs: Sequence[str] = ("mean", "max"),
    low: float | None = 0,
    high: float | None = None,
    width: int = 8,
) -> timeseries.Panel:
    """Return a panel with a line for each series. Bounds in ``steps`` are dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .links(runbook(*alerts))
        .targets([target(query, chr(ord("A") + i)) for i, query in enumerate(queries)])
        .unit(unit)
        .thresholds(thresholds(steps))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(_threshold_lines(steps)))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
        .line_width(1)
        .fill_opacity(10)
        .show_points(options.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(_legend(options.LegendDisplayMode.TABLE).calcs(list(calcs)))
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .height(8)
        .span(width)
    )
    panel = panel if low is None else panel.min(low)
    return panel if high is None else panel.max(high)


def states(title: str, description: str, query: Query, *alerts: str) -> statetimeline.Panel:
    """Return a panel with a bar for each series, which passes or fails."""
    texts = {"0": ValueMappingResult("fails", "red", index=0), "1": ValueMappingResult("passes", "green", index=1)}
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .links(runbook(*alerts))
        .with_target(target(query, "A"))
        .unit("none")
        .thresholds(thresholds([(None, "red"), (1, "green")]))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .mappings([ValueMap(texts)])
        .show_value(options.VisibilityMode.NEVER)
        .row_height(0.8)
        .merge_values(True)
        .legend(_legend(options.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.SINGLE).sort(options.SortOrder.NONE))
        .height(8)
        .span(12)
    )


def _threshold_lines(steps: Steps) -> options.GraphThresholdsStyleMode:
    has_bound = len(steps) > 1
    return options.GraphThresholdsStyleMode.DASHED if has_bound else options.GraphThresholdsStyleMode.OFF


def _legend(mode: options.LegendDisplayMode) -> common.VizLegendOptions:
    return common.VizLegendOptions().display_mode(mode).placement(options.LegendPlacement.BOTTOM).show_legend(True)

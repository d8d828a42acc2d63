"""The rules of Grafana's dashboard-linter for Prometheus. No package contains the program itself.

Each rule is a function of a dashboard that yields its faults, each with the title of its panel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import promql_parser

from tests.observability.dashboards import ALL, filled, panels, targets, variables
from tests.observability.files import selectors

Finding = tuple[str, str]
Rule = Callable[[dict[str, Any]], Iterator[Finding]]

# The units of Grafana that this project needs.
UNITS = {"none", "short", "percent", "percentunit", "s", "ms", "bytes", "reqps", "ops", "cps"}
PLACEHOLDERS = {name: f"${name}" for name in ALL}


def parsed(query: str) -> promql_parser.Expr:
    return promql_parser.parse(filled(query, PLACEHOLDERS, "1h23m"))


def template_datasource(dashboard: dict[str, Any]) -> Iterator[Finding]:
    found = variables(dashboard, "datasource")
    if [("datasource", "Data source", "prometheus")] != [(n, v["label"], v["query"]) for n, v in found.items()]:
        yield "", "there is not one variable `datasource`, labelled `Data source`, for Prometheus"


def template_job_and_instance(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for name in ("job", "instance"):
        variable = variables(dashboard).get(name, {})
        wanted = {"label": name.title(), "multi": True, "allValue": ".+"}
        if wanted.items() - {(key, variable.get(key)) for key in wanted}:
            yield "", f"the variable {name} is not {wanted}"
        if variable.get("datasource", {}).get("uid") != "${datasource}":
            yield "", f"the variable {name} does not use the variable datasource"


def template_label_promql(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for name, variable in variables(dashboard).items():
        inner = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
        selector, _, label = inner.rpartition(",")
        parsed(selector)
        if not label.strip().isidentifier():
            yield "", f"the query of {name} is not label_values(selector, label)"


def template_on_time_change_reload(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for name, variable in variables(dashboard).items():
        if variable["refresh"] != 2:
            yield "", f"{name} is not reloaded when the time changes"


def uneditable_dashboard(dashboard: dict[str, Any]) -> Iterator[Finding]:
    if dashboard["editable"]:
        yield "", "it can be edited, though it comes from a file"


def panel_datasource(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for panel in panels(dashboard):
        for one in [panel, *panel["targets"]]:
            if one["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
                yield panel["title"], "it does not use the variable datasource"


def panel_title_description(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "it lacks title or description"


def panel_units(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield panel["title"], "it has no unit that Grafana knows"


def panel_no_targets(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if not panel.get("targets"):
            yield panel["title"], "it has no query"


def target_promql(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for title, query in targets(dashboard):
        try:
            parsed(query)
        except ValueError as error:
            yield title, str(error)


def target_rate_interval(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for title, query in targets(dashboard):
        for call in calls(query):
            if call.func.name in {"rate", "irate", "increase"} and "[1h23m]" not in str(call.args[0].prettify()):
                yield title, f"the range of {call.func.name} is not $__rate_interval"


def target_counter_agg(dashboard: dict[str, Any]) -> Iterator[Finding]:
    for title, query in targets(dashboard):
        counters = [one for one in selectors(filled(query, PLACEHOLDERS)) if (one.name or "").endswith("_total")]
        rated = [call for call in calls(query) if call.func.name in {"rate", "irate", "increase"}]
        if len(counters) > len(rated):
            yield title, "it shows a counter without a rate"


def target_job(dashboard: dict[str, Any]) -> Iterator[Finding]:
    yield from required_matcher(dashboard, "job")


def target_instance(dashboard: dict[str, Any]) -> Iterator[Finding]:
    yield from required_matcher(dashboard, "instance")


def required_matcher(dashboard: dict[str, Any], name: str) -> Iterator[Finding]:
    for title, query in targets(dashboard):
        for selector in selectors(filled(query, PLACEHOLDERS)):
            if (name, promql_parser.MatchOp.Re, f"${name}") not in [
                (one.name, one.op, one.value) for one in selector.matchers.matchers
            ]:
                yield title, f'{selector.name} lacks {name}=~"${name}"'


def calls(query: str) -> list[promql_parser.Call]:
    found: list[promql_parser.Call] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.Call):
            found.append(node)
        return True

    promql_parser.walk(parsed(query), visit)
    return found


RULES: dict[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job_and_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "uneditable-dashboard": uneditable_dashboard,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-counter-agg-rule": target_counter_agg,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
}

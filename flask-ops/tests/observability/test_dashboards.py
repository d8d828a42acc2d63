"""The dashboards, checked with the rules of Grafana's linter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import yaml

from tests.observability.dashboard_linter import RULES
from tests.observability.dashboards import ALL, DASHBOARDS, ENVIRONMENT, filled, panels, targets, variables
from tests.observability.files import FILES, alerts, selectors

EXCLUSIONS = yaml.safe_load(FILES["grafana/dashboards/.lint"])["exclusions"]
SERVICE = DASHBOARDS["service"]


def findings(rule: str, dashboard: dict[str, Any]) -> set[tuple[str, str]]:
    excluded = {(entry["dashboard"], entry["panel"]) for entry in EXCLUSIONS.get(rule, {}).get("entries", [])}
    return {(title, text) for title, text in RULES[rule](dashboard) if (dashboard["title"], title) not in excluded}


def test_every_rule_of_the_linter_holds() -> None:
    for name, dashboard in DASHBOARDS.items():
        assert {} == {rule: found for rule in RULES if (found := findings(rule, dashboard))}, name


def test_exclusions_from_the_rules_have_a_reason_and_are_about_objectives() -> None:
    assert {"target-instance-rule", "template-job-rule"} == set(EXCLUSIONS)
    assert all(exclusion["reason"] for exclusion in EXCLUSIONS.values())
    found = {(entry["dashboard"], entry["panel"]) for entry in EXCLUSIONS["target-instance-rule"]["entries"]}
    overview = {("Services", panel["title"]) for panel in panels(DASHBOARDS["services"])}
    assert found - overview == {("Service", title) for title, query in targets(SERVICE) if "job_slo:" in query}
    assert overview <= found


SPOILED: dict[str, Callable[[dict[str, Any]], None]] = {
    "template-datasource-rule": lambda board: board["templating"]["list"][0].update(name="source"),
    "template-job-rule": lambda board: variables(board)["instance"].update(multi=False),
    "template-label-promql-rule": lambda board: variables(board)["job"]["query"].update(query="label_values(up, a-b)"),
    "template-on-time-change-reload-rule": lambda board: variables(board)["job"].update(refresh=1),
    "uneditable-dashboard": lambda board: board.update(editable=True),
    "panel-datasource-rule": lambda board: first(board)["datasource"].update(uid="prometheus"),
    "panel-title-description-rule": lambda board: first(board).update(description=""),
    "panel-units-rule": lambda board: first(board)["fieldConfig"]["defaults"].update(unit="parsecs"),
    "panel-no-targets-rule": lambda board: first(board).update(targets=[]),
    "target-promql-rule": lambda board: query(board, "sum("),
    "target-rate-interval-rule": lambda board: query(board, "rate(x_total[5m])"),
    "target-counter-agg-rule": lambda board: query(board, "sum(x_total)"),
    "target-job-rule": lambda board: query(board, 'up{job="service"}'),
    "target-instance-rule": lambda board: query(board, 'up{instance!~"$instance"}'),
}


def first(dashboard: dict[str, Any]) -> dict[str, Any]:
    return next(panels(dashboard))


def query(dashboard: dict[str, Any], text: str) -> None:
    first(dashboard)["targets"][0]["expr"] = text


def test_every_rule_finds_what_breaks_it() -> None:
    assert RULES.keys() == SPOILED.keys()
    for rule, spoil in SPOILED.items():
        board = copy.deepcopy(SERVICE)
        spoil(board)

        assert set() != findings(rule, board), rule


def test_the_overview_has_a_row_per_service_that_leads_to_its_page() -> None:
    table = next(panels(DASHBOARDS["services"]))
    (organize,) = (one["options"] for one in table["transformations"] if one["id"] == "organize")
    columns = [name for name in organize["renameByName"].values() if name.lower() not in {*ENVIRONMENT, "job"}]
    links = [one for one in table["fieldConfig"]["overrides"] if one["matcher"]["options"] == "Job"]

    wanted = {"Budget left", "Requests", "Errors", "Slow", "Threads in use", "Instances up", "Version"}
    assert wanted == set(columns)
    assert all(target["instant"] and target["format"] == "table" for target in table["targets"])
    assert all(f" by ({', '.join(ENVIRONMENT)}, job" in query for _, query in targets({"panels": [table]}))
    url = links[0]["properties"][0]["value"][0]["url"]
    assert f"/d/{SERVICE['uid']}?var-job=" in url
    assert set(ENVIRONMENT) < variables(SERVICE).keys() & variables(DASHBOARDS["services"]).keys()
    assert all(f"var-{label}=${{__data.fields.{label}}}" in url for label in ENVIRONMENT)


def test_every_query_tells_environments_apart() -> None:
    wanted = {"job", *ENVIRONMENT}
    for title, query in (found for board in DASHBOARDS.values() for found in targets(board)):
        for selector in selectors(filled(query, ALL)):
            assert wanted <= {matcher.name for matcher in selector.matchers.matchers}, title


def test_every_panel_has_a_legend_and_links_to_the_runbook() -> None:
    """The link leads to a heading of the runbook."""
    headings = {f"${{runbook}}#{alert.lower()}" for alert in alerts()}
    for panel in panels(SERVICE):
        title, urls = panel["title"], {link["url"] for link in panel["links"]}

        assert urls, title
        assert urls <= headings, title
        assert all(target["legendFormat"] for target in panel["targets"]), title
        assert panel["type"] != "timeseries" or panel["options"]["legend"]["showLegend"], title


def test_every_alert_but_the_watchdog_has_a_panel_that_links_to_its_heading() -> None:
    linked = {link["url"].partition("#")[2] for panel in panels(SERVICE) for link in panel["links"]}

    assert {alert.lower() for alert in alerts()} - {"watchdog"} == linked - {""}


def test_panels_draw_the_bounds_of_their_alerts() -> None:
    drawn = {
        "Burn rate": "ServiceErrorBudgetGoneIn2Days",
        "Threads in use by instance": "ServiceThreadsSaturated",
        "File descriptors": "ServiceDescriptorsNearLimit",
        "Scrapes": "ServiceScrapesSlow",
        "Samples in a scrape": "ServiceSeriesNearLimit",
    }
    by_title = {panel["title"]: panel["fieldConfig"]["defaults"] for panel in panels(SERVICE)}
    for title, alert in drawn.items():
        bound = by_title[title]["thresholds"]["steps"][-1]["value"]

        assert f"> {bound:g}" in alerts()[alert]["expr"], title
        assert {"mode": "dashed"} == by_title[title]["custom"]["thresholdsStyle"], title


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in SERVICE["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len(SERVICE["panels"]) == len({panel["id"] for panel in SERVICE["panels"]})


def test_grafana_11_and_later_find_nothing_to_change() -> None:
    """39 is the schema version of Grafana 11.0. Later versions migrate it to 42 or more, and change nothing here.

    They would change the format of the refresh interval, time options, fields hidden from a panel, and a
    transformation.
    """
    for uid, board in DASHBOARDS.items():
        assert (39, uid) == (board["schemaVersion"], board["uid"])
        assert isinstance(board["refresh"], str)
        assert "time_options" not in board.get("timepicker", {})
        transformations = [one for panel in panels(board) for one in panel.get("transformations", ())]
        assert {"merge", "organize"} >= {one["id"] for one in transformations}
    assert not any(panel["fieldConfig"]["overrides"] for panel in panels(SERVICE))

"""The queries on real data: a real Prometheus scrapes the real service under mixed traffic.

All names in rules, dashboards, the runbook and promtool's cases exist, and every panel shows data.
"""

from __future__ import annotations

import http.client
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from urllib.error import HTTPError

import promql_parser
import pytest

from flask_ops import observability
from observability.drill.load import Load, ask
from observability.drill.stack import Stack
from tests.observability.dashboards import ALL, DASHBOARDS, ENVIRONMENT, annotation_queries, filled, targets, variables
from tests.observability.files import queries, recorded, rule_tests, rules, runbook, selectors
from tests.process import wait_until
from tests.programs import require

SERVICE = DASHBOARDS["service"]
PROMETHEUS = """
global: {scrape_interval: 15s, evaluation_interval: 30s}
rule_files: [rules/*.yml]
scrape_configs: [{job_name: service}]
"""
ALERTMANAGER = "{route: {receiver: all}, receivers: [{name: all}]}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return the service behind a proxy, with traffic that gives every panel data.

    Prometheus reads the files that the library writes into a folder.
    """
    require("prometheus")
    require("prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("observability")
    observability.write(folder)
    (folder / "prometheus.yml").write_text(PROMETHEUS)
    (folder / "alertmanager.yml").write_text(ALERTMANAGER)
    settings = {"SERVICE_TRUSTED_PROXIES": "1", "SERVICE_TEAM": "shop", "SERVICE_SLO_ROUTES": "/=99% < 1s, /=99"}
    with Stack(settings, source=folder) as running, Load(lambda number: mixed(running.service.port, number)):
        yield running


def mixed(port: int, number: int) -> None:
    method, path = (
        ("GET", "/"),
        ("POST", "/faults/error"),
        ("GET", "/nothing-here"),
        ("POST", "/faults/slow?seconds=0.4"),
    )[number % 4]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={"X-Request-Start": f"t={time.time() - 0.01:.3f}"})
    connection.getresponse().read()
    connection.close()
    if number == 20:
        ask(port, "POST", "/faults/crash")


def series(stack: Stack) -> dict[str, set[str]]:
    """Return the names of all series in Prometheus, each with all of its labels."""
    query = urllib.parse.urlencode({"match[]": '{__name__=~".+"}'})
    with urllib.request.urlopen(f"{stack.prometheus_url}/api/v1/series?{query}", timeout=20) as answer:  # noqa: S310 - loopback
        found: dict[str, set[str]] = {}
        for one in json.load(answer)["data"]:
            found.setdefault(one.pop("__name__"), set()).update(one)
        return found


@pytest.fixture(scope="module")
def known(stack: Stack) -> dict[str, set[str]]:
    """Return the series when they include all series that rules record, and an alert about the service."""

    def complete() -> dict[str, set[str]]:
        found = series(stack)
        return found if recorded() <= found.keys() and "job" in found.get("ALERTS", ()) else {}

    return wait_until(complete, "recorded series and an alert", 60)


def choices(stack: Stack) -> dict[str, dict[str, str]]:
    """Return the variables' values for a choice of all, and for a choice of some, in Grafana's form."""
    instance = f"127\\\\.0\\\\.0\\\\.1:{stack.service.management_port}"
    return {
        "all": ALL,
        "some": {
            **ALL,
            "job": "service",
            "instance": f"({instance}|elsewhere)",
            "route": "(/|/faults/error)",
        },
    }


@pytest.mark.usefixtures("known")
def test_every_query_of_a_panel_returns_data(stack: Stack) -> None:
    def numbers(query: str) -> list[float]:
        found = [float(sample["value"][1]) for sample in stack.query(query)]
        return [number for number in found if not math.isnan(number)]

    for chosen, values in choices(stack).items():
        for panel, query in (found for board in DASHBOARDS.values() for found in targets(board)):
            wait_until(partial(numbers, filled(query, values, "10s")), f"data for {panel} ({chosen}): {query}", 30)


@pytest.mark.usefixtures("known")
def test_every_variable_has_values(stack: Stack) -> None:
    """Those of the environment are empty here: its targets have none of the labels."""
    found_variables = [found for board in DASHBOARDS.values() for found in variables(board).items()]
    for name, variable in ((name, variable) for name, variable in found_variables if name not in ENVIRONMENT):
        query = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
        selector, _, label = query.rpartition(",")
        found = stack.query(filled(selector, choices(stack)["all"]))

        assert found, name
        assert all(one["metric"][label.strip()] for one in found), name


@pytest.mark.usefixtures("known")
def test_annotations_show_alerts(stack: Stack) -> None:
    """One alert fires under this traffic."""
    firing = filled(annotation_queries(SERVICE)["Alerts"], choices(stack)["all"], "10s")

    wait_until(lambda: stack.query(firing), "an alert", 60)


def test_prometheus_takes_the_queries_of_the_runbook(stack: Stack) -> None:
    refused = []
    for alert, text in runbook().items():
        for query in queries(text):
            try:
                stack.query(query)
            except HTTPError as error:
                refused.append(f"{alert}: {error.read().decode()}")

    assert [] == refused


def everything() -> Iterator[tuple[str, str]]:
    """Yield every query of the project with its place."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for alert, text in runbook().items():
        yield from ((f"the runbook on {alert}", query) for query in queries(text))
    placeholders = ALL
    for name, dashboard in DASHBOARDS.items():
        yield from ((f"{name}: {title}", filled(query, placeholders)) for title, query in targets(dashboard))
        yield from ((f"{name}: {n}", filled(query, placeholders)) for n, query in annotation_queries(dashboard).items())
    for path, file in rule_tests().items():
        for test in file["tests"]:
            yield from ((f"{path.name}: {test['name']}", one["series"]) for one in test.get("input_series", []))


def test_every_metric_and_label_in_use_exists(known: dict[str, set[str]]) -> None:
    """This covers rules, the runbook, dashboards, and the series of promtool's cases."""
    for where, query in sorted(set(everything())):
        named = [selector for selector in selectors(query) if selector.name]
        metrics = {str(selector.name) for selector in named}
        assert metrics <= known.keys(), where
        for selector in named:
            found = {matcher.name for matcher in selector.matchers.matchers}.difference(ENVIRONMENT)
            assert found <= known[str(selector.name)], where
        labels = set().union(*(known[name] for name in metrics)) if metrics else {"__name__", "job"}
        assert grouping(query).difference(ENVIRONMENT) <= labels, where


def grouping(query: str) -> set[str]:
    """Return the labels by which a query groups and matches."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            found.update(node.modifier.labels)
        if isinstance(node, promql_parser.BinaryExpr) and node.modifier and node.modifier.matching:
            found.update(node.modifier.matching.labels)
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


@pytest.mark.usefixtures("known")
def test_annotations_show_restarts(stack: Stack) -> None:
    """They are at the times of the starts, in milliseconds. This test comes last, because it causes a start."""
    query = filled(annotation_queries(SERVICE)["Restarts"], choices(stack)["all"])

    def starts() -> set[float]:
        (found,) = (one for one in stack.query(f"({query})[5m:1s]") if one["metric"]["job"] == stack.service.job)
        return {float(value) for _, value in found["values"]}

    (first,) = starts()
    before = time.time()
    stack.service.program.stop()
    stack.service.start()

    second = max(wait_until(lambda: found if len(found := starts()) > 1 else set(), "a restart", 30))
    assert first < second
    assert abs(second / 1000 - before) < 30

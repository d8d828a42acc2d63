"""The synthetic fleet: its exposition, and the configuration of its Prometheus."""

from __future__ import annotations

from pathlib import Path

import promql_parser
import pytest
import yaml

from benchmark import fleet
from tests.observability.files import SHIPPED, selectors
from tests.observability.promtool import promtool

TEXT = """# HELP a_total Requests.
a_total{route="/",status="200"} 60.0
a_total{route="/b",status="200"} 2.0
b{route="/"} 3.0
"""


def test_a_route_has_copies() -> None:
    lines = fleet.with_routes(TEXT, 3).splitlines()

    assert TEXT.splitlines() == lines[:4]
    assert {f'a_total{{route="/{i}",status="200"}} 60.0' for i in (1, 2)} < set(lines[4:])
    assert 4 == len(lines[4:])


def test_only_counters_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("benchmark.fleet.time.monotonic", lambda: now)
    exposition = fleet.Exposition(TEXT)
    now += 30

    expected = b'a_total{route="/",status="200"} 90.0\na_total{route="/b",status="200"} 3.0\nb{route="/"} 3.0\n'
    assert expected == exposition.body()


def test_each_copy_of_the_rules_selects_only_its_service(tmp_path: Path) -> None:
    for copies, jobs in ((False, [""]), (True, ["orders", "search"])):
        folder = tmp_path / str(copies)
        folder.mkdir()
        fleet.configure(folder, 1, SHIPPED / "rules", ["orders", "search"], 2, copies=copies)
        returned, output = promtool("check", "config", folder / "prometheus.yml")

        assert 0 == returned, output
        for job in jobs:
            for path in (folder / "rules").glob(f"*-{job}.yml"):
                groups = yaml.safe_load(path.read_text())["groups"]
                found = [each for group in groups for rule in group["rules"] for each in selectors(rule["expr"])]
                of_services = [each for each in found if not str(each.name).startswith("slo:")]
                assert of_services
                assert {job} == {selected(each) for each in of_services}


def selected(selector: promql_parser.VectorSelector) -> str:
    return "".join(matcher.value for matcher in selector.matchers.matchers if matcher.name == "job")


def test_times_of_evaluations_are_beside_the_interval() -> None:
    groups = [{"name": "slo", "interval": 30, "evaluationTime": 0.25}] * 2
    groups.append({"name": "memory", "interval": 300, "evaluationTime": 1.0})

    expected = {"evaluation of slo, every 30 s": "0.500 s", "evaluation of memory, every 300 s": "1.000 s"}
    assert expected == fleet.evaluations(groups)

"""The synthetic fleet: its exposition, and the configuration of its Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import fleet
from tests.observability.promtool import promtool

TEXT = """# HELP a_total Requests.
a_total{route="/",status="200"} 60.0
a_total{route="/b",status="200"} 2.0
b{route="/"} 3.0
"""
RULE = """
groups:
  - name: traffic
    rules:
      - record: job:a:rate5m
        expr: sum by (job) (rate(a_total{job="service"}[5m]))
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


def test_promtool_accepts_the_configuration_with_and_without_copies_of_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "source"
    rules.mkdir()
    (rules / "traffic.yml").write_text(RULE)
    for copies, jobs in ((False, ["service"]), (True, ["orders", "search"])):
        folder = tmp_path / str(copies)
        folder.mkdir()
        fleet.configure(folder, 1, rules, ["orders", "search"], 2, copies=copies)
        returned, output = promtool("check", "config", folder / "prometheus.yml")

        assert 0 == returned, output
        texts = "".join(path.read_text() for path in (folder / "rules").iterdir())
        assert jobs == [job for job in ("orders", "search", "service") if f'job="{job}"' in texts]

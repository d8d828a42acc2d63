"""The differences that the gate finds between the library's files and their copy in `observability/`."""

from __future__ import annotations

from pathlib import Path

import pytest

import flask_ops.observability
from tests.repository.observability.copied import lacking

OWN_ALERT = """
  - name: orders
    rules:
      - alert: OrdersMissing
        expr: absent(orders_total{job="orders"})
"""
OWN_PANEL = '  "panels": [\n    {"title": "Orders"},\n'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    flask_ops.observability.write(tmp_path, job="orders")
    (tmp_path / "prometheus.yml").write_text("scrape_configs: [{job_name: orders}]\n")
    return tmp_path


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_additions_another_job_and_another_runbook_are_no_difference(copy: Path) -> None:
    with (copy / "rules" / "alerts.yml").open("a") as file:
        file.write(OWN_ALERT)
    change(copy / "runbook.md", "# Runbook\n", "# Runbook\n\n## OrdersMissing\n\nCall the shop.\n")
    change(copy / "grafana" / "dashboards" / "service.json", '  "panels": [\n', OWN_PANEL)
    for path in ("rules/alerts.yml", "tests/symptoms.yml", "grafana/dashboards/service.json"):
        change(copy / path, "https://example.com/service/runbook.md#", "https://wiki.example.org/ops/runbook.md#")

    assert {} == lacking(copy)


@pytest.mark.parametrize(
    ("name", "before", "after", "line"),
    [
        ("rules/alerts.yml", "        for: 3m\n", "        for: 4m\n", "for: 3m"),
        ("rules/slo.yml", "vector(0.999)", "vector(0.99)", "expr: vector(0.999)"),
        ("grafana/dashboards/service.json", '"title": "Service"', '"title": "Orders"', '"title": "Service"'),
        ("runbook.md", "## Watchdog\n", "", "## Watchdog"),
    ],
)
def test_what_is_changed_or_gone_is_told(name: str, before: str, after: str, line: str, copy: Path) -> None:
    change(copy / name, before, after)

    assert {name: line} == {path: found.strip() for path, found in lacking(copy).items()}


def test_a_file_that_is_missing_is_told(copy: Path) -> None:
    (copy / "rules" / "slo.yml").unlink()

    assert {"rules/slo.yml"} == set(lacking(copy))

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
    flask_ops.observability.write(tmp_path)
    return tmp_path


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_additions_are_no_difference(copy: Path) -> None:
    with (copy / "rules" / "alerts.yml").open("a") as file:
        file.write(OWN_ALERT)
    change(copy / "runbook.md", "# Runbook\n", "# Runbook\n\n## OrdersMissing\n\nCall the shop.\n")
    change(copy / "grafana" / "dashboards" / "service.json", '  "panels": [\n', OWN_PANEL)

    assert {} == lacking(copy)


def test_what_is_changed_or_missing_is_reported(copy: Path) -> None:
    change(copy / "rules" / "alerts.yml", "        for: 3m\n", "        for: 4m\n")
    change(copy / "grafana" / "dashboards" / "service.json", '"title": "Service"', '"title": "Orders"')
    change(copy / "runbook.md", "## Watchdog\n", "")
    (copy / "rules" / "slo.yml").unlink()
    (copy / "rules" / "service.yml").write_text("")
    first = flask_ops.observability.files()
    expected = {
        "grafana/dashboards/service.json": '"title": "Service"',
        "rules/alerts.yml": "for: 3m",
        "rules/service.yml": first["rules/service.yml"].splitlines()[0],
        "rules/slo.yml": first["rules/slo.yml"].splitlines()[0],
        "runbook.md": "## Watchdog",
    }

    assert expected == {path: found.strip() for path, found in lacking(copy).items()}

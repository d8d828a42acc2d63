"""An adopter's first changes fail no test of the repository.

The changes are another README, an alert, a port, and a place for the runbook. Only tests that depend on an adopter's
files run, without containers, proxies and servers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.copies import copy_repository
from tests.process import BIN, clean_environ
from tests.programs import outcome

ALERT = """
  - name: orders
    rules:
      - alert: OrdersMissing
        expr: sum(increase(orders_total{job="service"}[1h])) < 1
        for: 1h
        labels: {severity: ticket, team: shop}
        annotations:
          summary: Nobody has ordered anything for an hour
"""
TESTS = (
    "tests/repository/deploy/test_compose.py",
    "tests/repository/deploy/test_kubernetes.py",
    "tests/repository/deploy/test_kubernetes_monitoring.py",
    "tests/repository/deploy/test_workflow.py",
    "tests/repository/observability/test_alertmanager.py",
    "tests/repository/observability/test_compose.py",
    "tests/repository/observability/test_copied.py",
    "tests/repository/observability/test_drill.py",
    "tests/repository/observability/test_prometheus.py",
    "tests/repository/observability/test_provisioning.py",
)
# Tests that start programs, or that do not depend on an adopter's changes.
LEFT_OUT = ("autoscaler_asks", "no_duration", "ended_leaves", "at_the_start_of", "faults_raise_the_alerts")


def change(copy: Path) -> None:
    (copy / "README.md").write_text("# Orders\n\nTakes orders.\n")
    with (copy / "observability" / "rules" / "alerts.yml").open("a") as file:
        file.write(ALERT)
    compose = copy / "compose.yaml"
    before, image, after = compose.read_text().partition("    image: ")
    assert image
    compose.write_text(f'{before}    ports: ["8080:8000"]\n{image}{after}')


@pytest.mark.timeout(300)  # half a minute on an idle machine
def test_an_adopters_first_changes_fail_no_test(tmp_path: Path) -> None:
    copy = copy_repository(tmp_path / "copy")
    change(copy)

    tests = ("pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", " and ".join(f"not {name}" for name in LEFT_OUT))
    compared = ("tests.repository.observability.copied", "--compare")
    env = {**clean_environ(), "PYTHONPATH": str(copy)}
    for module in (tests, compared):
        returned, output = outcome(BIN / "python", "-m", *module, cwd=copy / "flask-ops", env=env, timeout=250)

        assert 0 == returned, output[-20_000:]

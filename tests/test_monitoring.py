"""Tests of your own alerts and dashboards: see `docs/alerts.md`."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import flask_ops.observability
import pytest

ROOT = Path(__file__).parents[1]
OBSERVABILITY = ROOT / "observability"
MANIFESTS = ROOT / "deploy" / "kubernetes" / "manifests.py"
RULES = {*OBSERVABILITY.glob("rules/*.yml")}
CASES = {*OBSERVABILITY.glob("tests/*.yml")} - {OBSERVABILITY / name for name in flask_ops.observability.files()}


def test_each_alert_has_an_entry_in_a_runbook() -> None:
    rules = "".join(path.read_text("utf-8") for path in RULES)
    runbooks = "".join(path.read_text("utf-8") for path in OBSERVABILITY.glob("*.md"))
    alerts = re.findall(r"^[ -]*alert: ['\"]?(\w+)", rules, re.MULTILINE)

    missing = {*alerts} - {*re.findall(r"^## (\w+)$", runbooks, re.MULTILINE)}
    assert set() == missing, "Add an entry, `## NAME`, to observability/runbook-own.md."


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is missing. Install it: make programs")
@pytest.mark.parametrize(("command", "files"), [("check", RULES), ("test", CASES)], ids=["check", "test"])
def test_promtool_accepts_the_rules_and_your_cases(command: str, files: set[Path]) -> None:
    if files:
        done = subprocess.run(["promtool", command, "rules", *files], capture_output=True, text=True, check=False)

        assert 0 == done.returncode, f"Correct the files in observability/.\n{done.stdout}{done.stderr}"


@pytest.mark.skipif(
    not (MANIFESTS.exists() and RULES), reason="this service has no manifests for Kubernetes, or no rules"
)
def test_kubernetes_has_a_copy_of_the_rules_and_dashboards() -> None:
    made = runpy.run_path(str(MANIFESTS))["made"]()

    stale = [str(path) for path, content in made.items() if content != (ROOT / path).read_text()]
    assert [] == stale, "Run `make manifests`, and commit the result."

"""The program that checks configurations and rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.observability.files import RULES, alert_groups
from tests.programs import outcome, require


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Return its exit code and its output."""
    return outcome(require("promtool"), *arguments, timeout=280)


def unchanged(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the rule itself."""
    return rule


def run_cases(
    folder: Path,
    files: Mapping[Path, dict[str, Any]],
    change: Callable[[dict[str, Any]], dict[str, Any]] = unchanged,
    texts: Mapping[str, str] | None = None,
) -> str:
    """Run ``files`` of cases. Return promtool's complaints, or nothing.

    ``change`` changes each alert, and ``texts`` replaces files of recording rules by the stems of their names. promtool
    evaluates every alert at every step, which takes most of its time. So each test gets only the alerts that it names.
    """
    for stem, text in {**RULES, **(texts or {})}.items():
        (folder / f"{stem}.yml").write_text(text)
    groups = [{**group, "rules": [change(rule) for rule in group["rules"]]} for group in alert_groups()]
    made = []
    for path, file in files.items():
        for number, test in enumerate(file["tests"]):
            named = {case["alertname"] for case in test.get("alert_rule_test", [])}
            kept = [{**group, "rules": [rule for rule in group["rules"] if rule["alert"] in named]} for group in groups]
            own = f"alerts-{path.stem}-{number}.yml"
            (folder / own).write_text(json.dumps({"groups": kept}))
            read = [Path(name).name.replace("alerts.yml", own) for name in file["rule_files"]]
            made.append(folder / f"{path.stem}-{number}.yml")
            made[-1].write_text(json.dumps({**file, "rule_files": read, "tests": [test]}))
    returned, output = promtool("test", "rules", *made)
    return output if returned else ""

"""The program that checks configurations and rules."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.programs import outcome, require


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Return its exit code and its output."""
    return outcome(require("promtool"), *arguments, timeout=280)


def run_cases(folder: Path) -> str:
    """Run all files of ``tests`` in ``folder`` against those of ``rules``. Return promtool's complaints, or nothing.

    promtool evaluates every alert at every step, which takes most of its time. So each file of cases gets only the
    alerts that it names.
    """
    alerts = yaml.safe_load((folder / "rules" / "alerts.yml").read_text())
    for path in (folder / "tests").iterdir():
        text = path.read_text()
        named = set(re.findall(r"alertname: (\w+)", text))
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if rule["alert"] in named]}
            for group in alerts["groups"]
        ]
        (folder / "rules" / f"alerts-{path.name}").write_text(yaml.safe_dump({"groups": groups}))
        path.write_text(text.replace("../rules/alerts.yml", f"../rules/alerts-{path.name}"))
    returned, output = promtool("test", "rules", *sorted((folder / "tests").iterdir()))
    return output if returned else ""

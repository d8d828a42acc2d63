"""The files of `flask_ops.observability`, read for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

import flask_ops.observability

FILES = flask_ops.observability.files()
RULES = {Path(name).stem: text for name, text in FILES.items() if name.startswith("rules/")}
"""The text of each file of rules by the stem of its name."""
SHIPPED = Path(flask_ops.observability.__file__).parent / "assets"
RULE_TESTS = sorted((SHIPPED / "tests").glob("*.yml"))
ALWAYS = {"Watchdog"}
"""It always fires, so it has no silent case."""
RUNBOOK = FILES["runbook.md"]


@cache
def rules() -> list[dict[str, Any]]:
    """Return every rule of every file, both alerts and recordings. Callers must not change them."""
    return [rule for file in map(yaml.safe_load, RULES.values()) for group in file["groups"] for rule in group["rules"]]


@cache
def alert_groups() -> list[dict[str, Any]]:
    """Return the groups of alerts. Callers must not change them."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES["alerts"])["groups"]
    return groups


def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def rule_tests() -> dict[Path, dict[str, Any]]:
    """Return each file of promtool's cases by its path. Callers must not change them."""
    return {path: yaml.safe_load(path.read_text()) for path in RULE_TESTS}


def cases(alert: str) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Yield the file, the test and the expectation of each of promtool's cases for an alert."""
    for path, file in rule_tests().items():
        for test in file["tests"]:
            for expectation in test.get("alert_rule_test", []):
                if expectation["alertname"] == alert:
                    yield path, test, expectation


def recorded() -> set[str]:
    """Return the names of the series that rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def runbook() -> dict[str, str]:
    """Return the text below each heading of the runbook."""
    _, *sections = re.split(r"^## (.+)\n", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(sections[::2], sections[1::2], strict=True))


FORM = re.compile(
    r"\n\*\*Meaning:\*\* .+?\n\*\*Impact:\*\* .+?"
    r"\n\*\*Severity:\*\* (?P<severity>page|ticket|none), "
    r"(?:after (?P<number>\d+) (?P<unit>minute|hour)s?|at once)\."
    r"(?P<threshold>.+?)\n\*\*Diagnosis:\*\* .+?\n\*\*Mitigation:\*\*\s.+",
    re.DOTALL,
)
"""The form of an entry of the runbook."""


def queries(text: str) -> list[str]:
    """Return the queries in Markdown."""
    return re.findall(r"```promql\n(.*?)\n```", text, re.DOTALL)


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield the selectors of a query. Raises ValueError if it is not a query."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found

"""Changed rules must make some of promtool's cases fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.files import ALWAYS, FILES, RULE_TESTS, alerts, cases
from tests.observability.promtool import promtool

RULES = {Path(name).stem: text for name, text in FILES.items() if name.startswith("rules/")}
BURNS = {f"ServiceErrorBudgetGoneIn{days}Days" for days in (2, 5, 10, 30)}


def changes(pattern: str, text: str, replacement: str) -> list[str]:
    """Return one text for each match of ``pattern``, with that match replaced by ``replacement``."""
    places = [found.span() for found in re.finditer(pattern, text, re.MULTILINE)]
    assert places, pattern
    return [text[:start] + replacement + text[end:] for start, end in places]


def only_cases(path: Path, keep: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return a file of cases with only the expectations of alerts that ``keep`` accepts."""
    file: dict[str, Any] = yaml.safe_load(path.read_text())
    for test in file["tests"]:
        test.pop("promql_expr_test", None)
        test["alert_rule_test"] = [each for each in test.get("alert_rule_test", []) if keep(each)]
    file["tests"] = [test for test in file["tests"] if test["alert_rule_test"]]
    return file


def easier_bound(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the alert with bounds that are a fifth lower, or one lower for ``>=``."""

    def lower(match: re.Match[str]) -> str:
        comparison, bound = match[1], float(match[2])
        return f"{comparison} {bound - 1 if comparison == '>=' else bound * 0.8:g}"

    return {**rule, "expr": re.sub(r"(>=?) ([0-9.]+)", lower, rule["expr"])}


def half_as_long(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the alert with half of its ``for``."""
    number, unit = int(rule["for"][:-1]), rule["for"][-1]
    return {**rule, "for": f"{number * {'h': 1800, 'm': 30, 's': 0}[unit]}s"}


COMPARED_WITH_0 = {
    "ServiceTargetDown",
    "ServiceTargetAbsent",
    "ServiceNotReady",
    "ServiceDrainingTooLong",
    "ServiceAcceptQueueGrowing",
    "ServiceDependencyDown",
}
WAIT_FOR_A_MINUTE = {"ServiceWorkersCrashing", "ServiceLogLinesDropped", "ServiceMetricsStoreDamaged"}
"""These alerts have a long range instead."""


@pytest.mark.parametrize(("easier", "unaffected"), [(easier_bound, COMPARED_WITH_0), (half_as_long, WAIT_FOR_A_MINUTE)])
def test_each_alert_has_a_silent_case_near_its_bound(
    easier: Callable[[dict[str, Any]], dict[str, Any]], unaffected: set[str], tmp_path: Path
) -> None:
    """Alerts that fire a little more easily fire in cases that must be silent."""
    text = yaml.safe_load(RULES["alerts"])
    for group in text["groups"]:
        group["rules"] = [easier(rule) for rule in group["rules"]]

    assert alerts().keys() - ALWAYS - unaffected == fire_wrongly(tmp_path, alerts=yaml.safe_dump(text))


@pytest.mark.parametrize("minimum", [5, 20])
def test_a_silent_case_is_near_the_guard_against_low_traffic(minimum: int, tmp_path: Path) -> None:
    text = RULES["slo"].replace(f"vector({minimum})", f"vector({minimum - 1})")

    assert "ServiceErrorBudgetGoneIn2Days" in fire_wrongly(tmp_path, "error_budget_pages", slo=text)


def fire_wrongly(directory: Path, only: str = "", **changed: str) -> set[str]:
    """Return the alerts that fire in a silent case, with the text of some rule files changed.

    ``only`` is a part of the names of the case files to try.
    """
    (directory / "rules").mkdir()
    (directory / "tests").mkdir()
    for stem, text in RULES.items():
        (directory / "rules" / f"{stem}.yml").write_text(changed.get(stem, text))
    for path in RULE_TESTS:
        if only not in path.stem:
            continue
        file = only_cases(path, lambda expectation: not expectation["exp_alerts"])
        (directory / "tests" / path.name).write_text(yaml.safe_dump(file))
    _, output = promtool("test", "rules", *(directory / "tests").glob("*.yml"))
    return set(re.findall(r"alertname: (\w+), time", output))


@pytest.mark.parametrize(
    "pattern",
    [
        r" and job_slo:error_budget_burn:ratio\w+ > [0-9.]+(?=\))",
        r"and job_slo:errors:increase\w+ >= .*",
        r"and job_slo:requests:increase\w+ >= .*",
    ],
    ids=["the short window", "the least number of errors", "the least number of requests"],
)
def test_a_burn_has_a_silent_case_for_each_of_its_conditions(pattern: str, tmp_path: Path) -> None:
    without, times = re.subn(pattern, "", RULES["alerts"])

    assert len(BURNS) == times
    assert BURNS == fire_wrongly(tmp_path, "error_budget", alerts=without)


CHANGED_ALERTS = [
    (alert, changed)
    for alert, pattern, replacement in [
        ("ServiceRestarting", r"\n?and .*> 0", ""),
        ("ServiceNotReady", r"unless .*", ""),
        ("ServiceNotReady", r"max_over_time\((service_ready.*)\[1m\]\)(?= ==)", 'service_ready{job="service"}'),
        ("ServiceWorkersCrashing", r'boot\||crash\||signal\||stuck\||timeout(?=")', ""),
        ("ServiceRequestsStuck", r"service_requests_\w+", "service_nothing"),
        ("ServiceAcceptQueueGrowing", r"min_over_time", "max_over_time"),
        ("ServiceMemoryGrowing", r"1\.05|32(?= \*)", "0"),
    ]
    for changed in changes(pattern, alerts()[alert]["expr"], replacement)
]


@pytest.mark.parametrize(
    ("alert", "changed"), CHANGED_ALERTS, ids=[f"{i}-{a}" for i, (a, _) in enumerate(CHANGED_ALERTS)]
)
def test_a_case_notices_that_a_part_of_an_alert_is_another(alert: str, changed: str, tmp_path: Path) -> None:
    """A test with this alert alone is fast."""
    group = {"name": "changed", "rules": [{**alerts()[alert], "expr": changed}]}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump({"groups": [group]}))
    for path in {path for path, _, _ in cases(alert)}:
        file = only_cases(path, lambda expectation: expectation["alertname"] == alert) | {"rule_files": ["alerts.yml"]}
        file.pop("group_eval_order", None)
        (tmp_path / f"cases-{path.name}").write_text(yaml.safe_dump(file))
    returned, output = promtool("test", "rules", *tmp_path.glob("cases-*.yml"))

    assert 0 != returned, changed
    assert f"alertname: {alert}, time:" in output


CHANGED_RECORDINGS = [
    (stem, changed, file)
    for stem, pattern, replacement, file in [
        ("slo", r'(?<=route!~)"/healthz\|/readyz\|/metrics"', '"/healthz"', "objectives"),
        ("slo", r'(?<=status!~)"5\.\."', '"x"', "objectives"),
        ("slo", r'(?<=status=~)"5\.\."', '"x"', "objectives"),
        ("slo", r"^            0$", "            -1e9", "objectives"),
        ("slo", r" > 0\)", ")", "objectives"),
        ("slo", r"\[30d\]", "[15d]", "error_budget_left"),
        ("service", r" > 0\)", ")", "recording"),
    ]
    for changed in changes(pattern, RULES[stem], replacement)
]


@pytest.mark.parametrize(
    ("stem", "changed", "file"), CHANGED_RECORDINGS, ids=[f"{i}-{f}" for i, (_, _, f) in enumerate(CHANGED_RECORDINGS)]
)
def test_a_case_notices_that_a_part_of_a_recording_is_another(
    stem: str, changed: str, file: str, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "rules" / f"{stem}.yml").write_text(changed)
    (tmp_path / "tests" / "cases.yml").write_text(FILES[f"tests/{file}.yml"])
    returned, output = promtool("test", "rules", tmp_path / "tests" / "cases.yml")

    assert 0 != returned
    assert "expr: " in output

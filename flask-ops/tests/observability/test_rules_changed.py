"""Changed rules must make some of promtool's cases fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.observability.files import ALWAYS, RULES, SHIPPED, alerts, cases, rule_tests
from tests.observability.promtool import run_cases, unchanged

pytestmark = pytest.mark.timeout(300)  # a test runs promtool for up to 20 s on an idle machine
BURNS = {f"ServiceErrorBudgetGoneIn{days}Days" for days in (2, 5, 10, 30)}


def changes(pattern: str, text: str, replacement: str) -> list[str]:
    """Return one text for each match of ``pattern``, with that match replaced by ``replacement``."""
    places = [found.span() for found in re.finditer(pattern, text, re.MULTILINE)]
    assert places, pattern
    return [text[:start] + replacement + text[end:] for start, end in places]


def only_cases(path: Path, keep: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return a file of cases with only the expectations of alerts that ``keep`` accepts."""
    tests = []
    for test in rule_tests()[path]["tests"]:
        if kept := [each for each in test.get("alert_rule_test", []) if keep(each)]:
            series = {key: value for key, value in test.items() if key != "promql_expr_test"}
            tests.append({**series, "alert_rule_test": kept})
    return {**rule_tests()[path], "tests": tests}


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
    assert alerts().keys() - ALWAYS - unaffected == fire_wrongly(tmp_path, change=easier)


@pytest.mark.parametrize("minimum", [5, 20])
def test_a_silent_case_is_near_the_guard_against_low_traffic(minimum: int, tmp_path: Path) -> None:
    text = RULES["slo"].replace(f"vector({minimum})", f"vector({minimum - 1})")

    assert "ServiceErrorBudgetGoneIn2Days" in fire_wrongly(tmp_path, "error_budget_pages", texts={"slo": text})


def fire_wrongly(
    folder: Path,
    only: str = "",
    change: Callable[[dict[str, Any]], dict[str, Any]] = unchanged,
    texts: Mapping[str, str] | None = None,
) -> set[str]:
    """Return the alerts that fire in a silent case, with rules changed as in ``run_cases``.

    ``only`` is a part of the names of the case files to try.
    """
    silent = {
        path: only_cases(path, lambda expectation: not expectation["exp_alerts"])
        for path in rule_tests()
        if only in path.stem
    }
    return set(re.findall(r"alertname: (\w+), time", run_cases(folder, silent, change, texts)))


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(r" and job_slo:error_budget_burn:ratio\w+ > [0-9.]+(?=\))", id="the short window"),
        pytest.param(r"and job_slo:errors:increase\w+ >= .*", id="the least number of errors"),
        pytest.param(r"and job_slo:requests:increase\w+ >= .*", id="the least number of requests"),
    ],
)
def test_a_burn_has_a_silent_case_for_each_of_its_conditions(condition: str, tmp_path: Path) -> None:
    def without(rule: dict[str, Any]) -> dict[str, Any]:
        return {**rule, "expr": re.sub(condition, "", rule["expr"])}

    assert BURNS == {name for name, rule in alerts().items() if rule != without(rule)}
    assert BURNS == fire_wrongly(tmp_path, "error_budget", without)


def test_a_case_fails_if_a_part_of_an_alert_changes(tmp_path: Path) -> None:
    changed = [
        (alert, expression)
        for alert, pattern, replacement in [
            ("ServiceRestarting", r"\n *and .*> 0", ""),
            ("ServiceNotReady", r"unless .*", ""),
            ("ServiceNotReady", r"max_over_time\(service_ready\[1m\]\)(?= ==)", "service_ready"),
            ("ServiceTargetAbsent", r"unless .*", ""),
            ("ServiceTargetDown", r"\n\* on .*", ""),
            ("ServiceWorkersCrashing", r'boot\||crash\||signal\||stuck\||timeout(?=")', ""),
            ("ServiceRequestsStuck", r"service_requests_\w+", "service_nothing"),
            ("ServiceAcceptQueueGrowing", r"min_over_time", "max_over_time"),
            ("ServiceMemoryGrowing", r"1\.05|32(?= \*)", "0"),
        ]
        for expression in changes(pattern, alerts()[alert]["expr"], replacement)
    ]
    for number, (alert, expression) in enumerate(changed):
        changed_rule = partial(with_expression, expression)
        folder = tmp_path / str(number)
        folder.mkdir()
        outputs = (
            run_cases(folder, {path: only_cases(path, partial(names, alert))}, changed_rule)
            for path in sorted({path for path, _, _ in cases(alert)})
        )

        assert any(f"alertname: {alert}, time:" in output for output in outputs), expression


def names(alert: str, expectation: dict[str, Any]) -> bool:
    """Return True if the expectation is about ``alert``."""
    return bool(expectation["alertname"] == alert)


def with_expression(expression: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Return the alert with another expression."""
    return {**rule, "expr": expression}


def test_a_case_fails_if_a_part_of_a_recording_changes(tmp_path: Path) -> None:
    changed = [
        (stem, pattern, text, file)
        for stem, pattern, replacement, file in [
            ("slo", r" > 0\)", ")", "objectives"),
            ("slo", r"max by", "min by", "objectives"),
            ("slo", r"(?<=objective_ratio)\[1h\]", "[5m]", "objectives"),
            ("slo", r"(?<=namespace, job, slo), route|namespace, (?=job, slo)", "", "objectives"),
            ("slo", r"\[30d\]", "[15d]", "error_budget_left"),
            ("service", r"(?<=\)) > 0\)", ")", "recording"),
            ("service", r"or last_over_time.*", "", "services"),
            ("service", r"topk", "bottomk", "services"),
            ("service", r"7 \* 86400", "9 * 86400", "forgotten"),
            ("service", r"7 \* 86400", "5 * 86400", "forgotten"),
        ]
        for text in changes(pattern, RULES[stem], replacement)
    ]
    for number, (stem, pattern, text, file) in enumerate(changed):
        path = SHIPPED / "tests" / f"{file}.yml"
        folder = tmp_path / str(number)
        folder.mkdir()
        output = run_cases(folder, {path: rule_tests()[path]}, texts={stem: text})

        assert re.search("expr: |alertname: ", output), f"match {number} of {pattern} in {stem}.yml\n{text}\n{output}"

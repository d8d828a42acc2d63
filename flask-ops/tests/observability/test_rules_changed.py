"""Changed rules must make some of promtool's cases fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.files import ALWAYS, FILES, alerts, cases, rule_tests
from tests.observability.promtool import promtool, run_cases

pytestmark = pytest.mark.timeout(300)  # a test runs promtool for up to 20 s on an idle machine
RULES = {Path(name).stem: text for name, text in FILES.items() if name.startswith("rules/")}
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
    text = yaml.safe_load(RULES["alerts"])
    for group in text["groups"]:
        group["rules"] = [easier(rule) for rule in group["rules"]]

    assert alerts().keys() - ALWAYS - unaffected == fire_wrongly(tmp_path, alerts=yaml.safe_dump(text))


def test_a_silent_case_is_near_the_guard_against_low_traffic(tmp_path: Path) -> None:
    for minimum in (5, 20):
        text = RULES["slo"].replace(f"vector({minimum})", f"vector({minimum - 1})")
        fired = fire_wrongly(tmp_path / str(minimum), "error_budget_pages", slo=text)

        assert "ServiceErrorBudgetGoneIn2Days" in fired, minimum


def fire_wrongly(directory: Path, only: str = "", **changed: str) -> set[str]:
    """Return the alerts that fire in a silent case, with the text of some rule files changed.

    ``only`` is a part of the names of the case files to try.
    """
    (directory / "rules").mkdir(parents=True)
    (directory / "tests").mkdir()
    for stem, text in RULES.items():
        (directory / "rules" / f"{stem}.yml").write_text(changed.get(stem, text))
    for path in rule_tests():
        if only in path.stem:
            file = only_cases(path, lambda expectation: not expectation["exp_alerts"])
            (directory / "tests" / path.name).write_text(yaml.safe_dump(file))
    return set(re.findall(r"alertname: (\w+), time", run_cases(directory)))


def test_a_burn_has_a_silent_case_for_each_of_its_conditions(tmp_path: Path) -> None:
    conditions = {
        "the short window": r" and job_slo:error_budget_burn:ratio\w+ > [0-9.]+(?=\))",
        "the least number of errors": r"and job_slo:errors:increase\w+ >= .*",
        "the least number of requests": r"and job_slo:requests:increase\w+ >= .*",
    }
    for name, pattern in conditions.items():
        without, times = re.subn(pattern, "", RULES["alerts"])

        assert len(BURNS) == times, name
        assert BURNS == fire_wrongly(tmp_path / name, "error_budget", alerts=without), name


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
        returned, output = run_cases_of(alert, expression, tmp_path / str(number))

        assert 0 != returned, expression
        assert f"alertname: {alert}, time:" in output, expression


def run_cases_of(alert: str, expression: str, folder: Path) -> tuple[int, str]:
    """Run the cases of one alert with another expression, without all other alerts."""
    folder.mkdir()
    group = {"name": "changed", "rules": [{**alerts()[alert], "expr": expression}]}
    (folder / "alerts.yml").write_text(yaml.safe_dump({"groups": [group]}))
    (folder / "service.yml").write_text(RULES["service"])
    for path in {path for path, _, _ in cases(alert)}:
        file = only_cases(path, lambda expectation: expectation["alertname"] == alert)
        owners = "../rules/service.yml" in file["rule_files"]
        file["rule_files"] = ["service.yml", "alerts.yml"] if owners else ["alerts.yml"]
        file["group_eval_order"] = ["service-owners", "changed"] if owners else ["changed"]
        (folder / f"cases-{path.name}").write_text(yaml.safe_dump(file))
    return promtool("test", "rules", *folder.glob("cases-*.yml"))


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
        folder = tmp_path / str(number)
        (folder / "rules").mkdir(parents=True)
        (folder / "tests").mkdir()
        for other, unchanged in RULES.items():
            (folder / "rules" / f"{other}.yml").write_text(text if other == stem else unchanged)
        (folder / "tests" / "cases.yml").write_text(FILES[f"tests/{file}.yml"])
        returned, output = promtool("test", "rules", folder / "tests" / "cases.yml")

        assert 0 != returned, f"match {number} of {pattern} in {stem}.yml\n{text}"
        assert re.search("expr: |alertname: ", output), output

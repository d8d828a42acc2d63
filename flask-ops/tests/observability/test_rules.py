"""The library's rules and alerts, checked by promtool and by the requirements of this project."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest

from observability.drill.scaling import seconds
from tests.observability.dashboards import ALL, DASHBOARDS, filled, panels, targets
from tests.observability.files import (
    ALWAYS,
    FORM,
    SHIPPED,
    alert_groups,
    alerts,
    cases,
    queries,
    rule_tests,
    rules,
    runbook,
    selectors,
)
from tests.observability.promtool import promtool, run_cases


def test_promtool_finds_nothing_in_the_rules() -> None:
    files = (SHIPPED / "rules").glob("*.yml")
    returned, output = promtool("check", "rules", "--lint=all", "--lint-fatal", *files)

    assert 0 == returned, output


def test_prometheus_3_reads_every_query_the_same() -> None:
    """These are the points of its migration guide about queries. `make test-newer` runs a Prometheus 3."""
    everything = [rule["expr"] for rule in rules()]
    everything += [query for text in runbook().values() for query in queries(text)]
    for dashboard in DASHBOARDS.values():
        everything += [filled(query, ALL) for _, query in targets(dashboard)]

    # It writes a bound as a float, for example 1.0, whatever the scrape contains. So no query selects one.
    bounds = {
        matcher.value
        for query in everything
        for selector in selectors(query)
        for matcher in selector.matchers.matchers
        if matcher.name in {"le", "quantile"}
    }
    assert set() == bounds
    assert not any("holt_winters" in query for query in everything)
    # A range no longer includes the sample at its left end. A range of one step has only one sample.
    steps = [found for query in everything for found in re.findall(r"\[(\w+):(\w+)\]", query)]
    assert steps
    assert all(seconds(length) >= 2 * seconds(step) for length, step in steps)


@pytest.mark.timeout(300)  # promtool takes 10 s on an idle machine
def test_promtool_finds_every_alert_and_series_as_expected(tmp_path: Path) -> None:
    assert "" == run_cases(tmp_path, rule_tests())


def test_each_file_of_cases_reads_shipped_rules_and_the_same_numbers_in_every_version_of_yaml() -> None:
    """Without quotes, ``0x40`` is 64 in YAML 1.1."""
    for path, file in rule_tests().items():
        for name in file["rule_files"]:
            assert (path.parent / name).is_file(), (path.name, name)
        series = [each for test in file["tests"] for each in test.get("input_series", [])]
        assert [] == [each for each in series if not isinstance(each["values"], str)], path.name


def test_recorded_series_are_named_level_metric_operations() -> None:
    names = {rule["record"] for rule in rules() if "record" in rule}

    assert set() == {name for name in names if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)}


def test_every_alert_is_complete() -> None:
    for alert, rule in alerts().items():
        assert rule["labels"]["severity"] in {"page", "ticket", "none"}, alert
        assert {"summary", "description", "runbook_url"} == set(rule["annotations"]), alert
        assert "for" in rule, alert
        assert "{{" in rule["annotations"]["description"], alert
        runbook = "runbook.md" if alert in ALWAYS else "{{ $labels.runbook_url }}"
        assert rule["annotations"]["runbook_url"] == f"{runbook}#{alert.lower()}", alert


def test_every_alert_names_its_service_and_has_its_owner() -> None:
    """Alerts about an error budget also name objective and budget left. promtool's cases show the texts."""
    owner = "on (cluster, env, environment, namespace, job) group_left (team, runbook_url) job:service_owner:info"
    for alert, rule in alerts().items():
        if alert in ALWAYS:
            continue
        annotations = rule["annotations"]
        assert rule["labels"]["runbook_url"] == "", alert
        assert rule["expr"].strip().endswith(owner) or alert == "ServiceTargetAbsent", alert
        assert "$labels.job" in annotations["summary"], alert
        if "job_slo:" in rule["expr"]:
            assert {"$labels.slo", "$labels.route"} <= set(re.findall(r"\$labels\.\w+", annotations["summary"])), alert
            assert "Budget left: {{ with" in annotations["description"], alert


def test_only_symptoms_page() -> None:
    groups = {group["name"]: group["rules"] for group in alert_groups()}

    causes = [*groups["service-causes"], *groups["service-memory"]]
    assert {"ticket"} == {rule["labels"]["severity"] for rule in causes}
    assert {"page"} == {rule["labels"]["severity"] for rule in groups["service-symptoms"]}


def test_the_runbook_has_an_entry_of_the_same_form_for_each_alert() -> None:
    assert set(alerts()) == set(runbook())
    for alert, text in runbook().items():
        assert FORM.fullmatch(text), alert
        assert 2 <= len(queries(text)) <= 3, alert
        for query in queries(text):
            promql_parser.parse(query)


def test_the_runbook_states_severity_wait_and_threshold_of_the_rule() -> None:
    for alert, rule in alerts().items():
        entry = FORM.fullmatch(runbook()[alert])
        assert entry is not None, alert
        wait = int(entry["number"]) * {"minute": 60, "hour": 3600}[entry["unit"]] if entry["number"] else 0
        assert (rule["labels"]["severity"], seconds(rule["for"])) == (entry["severity"], wait), alert
        thresholds = re.findall(r"(?:[<>]=?|==) (\d[\d.]*+)(?! \*)", rule["expr"])
        stated = re.findall(r"(\d[\d.]*\d|\d)(%?)", entry["threshold"].replace(",", ""))
        numbers = {float(number) / (100 if percent else 1) for number, percent in stated}
        assert {float(number) for number in thresholds} <= numbers, alert


def test_every_alert_has_cases_in_which_it_fires_and_in_which_it_is_silent() -> None:
    for alert in alerts():
        found = list(cases(alert))

        assert any(expectation["exp_alerts"] for _, _, expectation in found), alert
        assert alert in ALWAYS or any(not expectation["exp_alerts"] for _, _, expectation in found), alert


def test_every_alert_is_silent_without_data() -> None:
    """The alert about missing data is the exception."""
    for alert in alerts().keys() - ALWAYS - {"ServiceTargetAbsent"}:
        without_data = [expectation for _, test, expectation in cases(alert) if not test.get("input_series")]

        assert any(not expectation["exp_alerts"] for expectation in without_data), alert


OPTIONAL = {"cluster", "env", "environment", "namespace", "route", "runbook_url"}
"""Labels that some targets and objectives do not have. A rule removes the last one."""


def test_annotations_of_an_alert_refer_to_labels_that_its_cases_have() -> None:
    """promtool compares the rendered text, and so has seen all of them."""
    for alert, rule in alerts().items():
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))) - OPTIONAL
        firing = [expected for _, _, expectation in cases(alert) for expected in expectation["exp_alerts"]]

        assert all(used <= expected["exp_labels"].keys() for expected in firing), alert


def test_panels_of_the_budget_name_its_days() -> None:
    (days,) = {days for rule in rules() for days in re.findall(r"budget_left:ratio(\d+)d", rule.get("record", ""))}
    showing = [
        panel
        for panel in panels(DASHBOARDS["service"])
        if any("error_budget_left" in target["expr"] for target in panel["targets"])
    ]

    assert showing
    assert all(f"of {days} days that is left" in panel["description"] for panel in showing)
    assert all("With less data, the panel covers fewer days." in panel["description"] for panel in showing)

"""Rules and alerts, by promtool and by what this project demands of each."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from observability.drill.scaling import seconds
from flask_ops.core.settings import Settings
from tests.repository.observability.dashboards import DASHBOARDS, filled, panels, targets
from tests.repository.observability.files import (
    ALWAYS,
    OBSERVABILITY,
    RULE_TESTS,
    alerts,
    cases,
    queries,
    rules,
    runbook,
    selectors,
)
from tests.repository.observability.promtool import promtool
from tests.process import REPOSITORY
from tests.programs import require

CONFIG = (OBSERVABILITY / "prometheus.yml").read_text()


def uncommented(key: str) -> str:
    """Return the configuration with one of its alternatives in the place of the static targets."""
    text = re.sub(r"    static_configs:\n      - targets: \[\"127.0.0.1:8001\"\]\n", "", CONFIG)
    before, found, after = text.partition(f"    # {key}:\n")
    block, blank, rest = after.partition("\n\n")
    assert found
    return before + "\n".join(line.replace("    # ", "    ", 1) for line in (found + block).split("\n")) + blank + rest


@pytest.mark.parametrize("alternative", [None, "file_sd_configs", "kubernetes_sd_configs"])
def test_promtool_accepts_the_configuration(alternative: str | None, tmp_path: Path) -> None:
    """As it is, and with each of the alternatives; Debian 12 has built its own without Kubernetes."""
    config = tmp_path / "prometheus.yml"
    config.write_text(uncommented(alternative) if alternative else CONFIG)
    (tmp_path / "rules").symlink_to(OBSERVABILITY / "rules")
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "service.json").write_text('[{"targets": ["10.0.0.1:8001", "10.0.0.2:8001"]}]')
    (job,) = yaml.safe_load(config.read_text())["scrape_configs"]
    assert {alternative or "static_configs"} == {key for key in job if key.endswith("_configs")} - {"relabel_configs"}

    returned, output = promtool("check", "config", "--lint=all", "--lint-fatal", config)
    without_kubernetes = "field kubernetes_sd_configs not found in type config.ScrapeConfig" in output
    assert 0 == returned or (alternative == "kubernetes_sd_configs" and without_kubernetes), output


def test_of_pods_those_of_the_service_are_scraped_on_their_management_port(tmp_path: Path) -> None:
    """Debian's Prometheus cannot ask Kubernetes, so a file says what Kubernetes would."""
    pods = [pod("service", "management", "Running"), pod("other", "management", "Running")]
    pods += [pod("service", "http", "Running"), pod("service", "management", "Succeeded")]
    targets, config = tmp_path / "pods.json", tmp_path / "prometheus.yml"
    targets.write_text(
        json.dumps([{"targets": [f"10.0.0.{i}:8001"], "labels": labels} for i, labels in enumerate(pods)])
    )
    text = yaml.safe_load(uncommented("kubernetes_sd_configs"))
    (job,) = text["scrape_configs"]
    # What is developed has the same labels, and the rules sum over all that has the job's name.
    production = yaml.safe_load((REPOSITORY / "deploy/kubernetes/overlays/production/kustomization.yaml").read_text())
    namespaces = {"names": [production["namespace"]]}
    assert [{"role": "pod", "namespaces": namespaces}] == job.pop("kubernetes_sd_configs")
    job["file_sd_configs"] = [{"files": [str(targets)]}]
    del text["rule_files"]
    config.write_text(yaml.safe_dump(text))

    command: list[str | Path] = [require("promtool"), "check", "service-discovery", "--timeout=1s", config, "service"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    kept = [target["labels"] for target in found if target["labels"]]
    assert [("10.0.0.0:8001", "service", "prod", "service-1")] == [
        (labels["instance"], labels["job"], labels["namespace"], labels["pod"]) for labels in kept
    ]


def pod(name: str, port: str, phase: str) -> dict[str, str]:
    """Return what Kubernetes tells of one port of a pod."""
    return {
        "__meta_kubernetes_namespace": "prod",
        "__meta_kubernetes_pod_name": f"{name}-1",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": name,
        "__meta_kubernetes_pod_container_port_name": port,
        "__meta_kubernetes_pod_phase": phase,
    }


def test_there_is_nothing_that_prometheus_3_reads_otherwise() -> None:
    """Of its migration guide, what queries and configurations are concerned with. `make test-newer` runs one."""
    everything = [rule["expr"] for rule in rules()]
    everything += [query for text in runbook().values() for query in queries(text)]
    for dashboard in DASHBOARDS.values():
        filling = dict.fromkeys(("job", "instance", "route"), ".+")
        everything += [filled(query, filling) for _, query in targets(dashboard)]

    # It writes a bound as a float, 1.0, whatever the scrape has.
    bounds = {
        matcher.value
        for query in everything
        for selector in selectors(query)
        for matcher in selector.matchers.matchers
        if matcher.name in {"le", "quantile"}
    }
    assert {"0.3"} == bounds
    assert not any("holt_winters" in query for query in everything)
    # A range no longer holds the sample at its left end: one with a single step has a single sample.
    steps = [found for query in everything for found in re.findall(r"\[(\w+):(\w+)\]", query)]
    assert steps
    assert all(seconds(length) >= 2 * seconds(step) for length, step in steps)
    # Configuration that it has renamed or refuses.
    assert not re.search("scrape_classic_histograms|api_version|enable_http2|target.*https?://", CONFIG)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_promtool_finds_every_alert_and_series_as_expected(path: Path) -> None:
    returned, output = promtool("test", "rules", path)

    assert 0 == returned, output


def test_recorded_series_are_named_level_metric_operations() -> None:
    names = {rule["record"] for rule in rules() if "record" in rule}

    assert set() == {name for name in names if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)}


def test_series_count_as_near_their_ceiling_from_80_percent_on() -> None:
    (job,) = yaml.safe_load(CONFIG)["scrape_configs"]

    assert alerts()["ServiceSeriesNearLimit"]["expr"].endswith(f"> {job['sample_limit'] * 0.8:.0f}")


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_complete(alert: str) -> None:
    rule = alerts()[alert]

    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert "for" in rule
    assert "{{" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"].endswith(f"/runbook.md#{alert.lower()}")


def test_only_what_users_feel_pages() -> None:
    groups = {
        group["name"]: group["rules"]
        for group in yaml.safe_load((OBSERVABILITY / "rules" / "alerts.yml").read_text())["groups"]
    }

    assert {"ticket"} == {rule["labels"]["severity"] for rule in groups["service-causes"]}
    assert {"page"} == {rule["labels"]["severity"] for rule in groups["service-symptoms"]}


@pytest.mark.parametrize("alert", alerts())
def test_the_runbook_says_what_an_alert_means_how_to_confirm_it_and_what_to_do(alert: str) -> None:
    text = runbook()[alert]

    assert re.fullmatch(r"\n\*\*Means:\*\*.*\n\*\*Confirm:\*\*.*\n\*\*Do:\*\*.*", text, re.DOTALL)
    assert 2 == len(queries(text))
    for query in queries(text):
        promql_parser.parse(query)


def test_the_runbook_has_no_heading_without_an_alert() -> None:
    assert set(alerts()) == set(runbook())


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_cases_in_which_it_fires_and_in_which_it_is_silent(alert: str) -> None:
    found = list(cases(alert))

    assert any(expectation["exp_alerts"] for _, _, expectation in found)
    assert alert in ALWAYS or any(not expectation["exp_alerts"] for _, _, expectation in found)


@pytest.mark.parametrize("alert", sorted(alerts().keys() - ALWAYS - {"ServiceTargetAbsent"}))
def test_an_alert_is_silent_where_there_is_no_data(alert: str) -> None:
    """Each but the one that tells of that."""
    assert any(not test.get("input_series") and not expectation["exp_alerts"] for _, test, expectation in cases(alert))


def test_prometheus_scrapes_the_default_management_address() -> None:
    assert f'"{Settings.from_environ({}).management_bind}"' in CONFIG


def test_whoever_runs_prometheus_reads_for_how_long_the_budget_needs_its_data() -> None:
    """Its own default is 15 days, the operator's one: the budget of 30 days would be of these, and nobody told."""
    (days,) = {days for rule in rules() for days in re.findall(r"budget_left:ratio(\d+)d", rule.get("record", ""))}
    option = "--storage.tsdb.retention.time=35d"

    assert seconds(option.partition("=")[2]) > seconds(f"{days}d")
    for path in ("docs/observability.md", "observability/prometheus.yml", "observability/compose.yaml"):
        assert option in (REPOSITORY / path).read_text(), path
    assert "retention: 35d" in (REPOSITORY / "deploy/kubernetes/components/monitoring/kustomization.yaml").read_text()
    for panel in panels(DASHBOARDS["service"]):
        if any("error_budget_left" in target["expr"] for target in panel["targets"]):
            assert f"{days} days, or of as many as Prometheus has" in panel["description"]

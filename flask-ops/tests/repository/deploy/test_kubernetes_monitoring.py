"""What deploy/kubernetes tells Prometheus, its adapter and Grafana is what observability/ says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.repository.deploy.kubernetes import KUBERNETES, OBSERVABILITY, Object, of_kind, one, rendered
from tests.process import REPOSITORY
from tests.programs import require
from tests.servers import serve


@pytest.fixture
def production() -> list[Object]:
    return rendered(KUBERNETES / "overlays" / "production")


def test_the_objects_of_the_operator_have_the_fields_it_knows(production: list[Object]) -> None:
    """Those of ServiceMonitor and PrometheusRule that are used here, from the operator's published definitions."""
    monitor = one(production, "ServiceMonitor")["spec"]
    assert {"jobLabel", "selector", "endpoints", "sampleLimit"} == set(monitor)
    (endpoint,) = monitor["endpoints"]
    assert {"port", "path", "interval", "scrapeTimeout"} == set(endpoint)
    rules = of_kind(production, "PrometheusRule")
    assert {"groups"} >= {field for item in rules for field in item["spec"]}
    groups = [group for item in rules for group in item["spec"]["groups"]]
    known = {"name", "interval", "limit", "partial_response_strategy", "query_offset", "labels", "rules"}
    assert known >= {field for group in groups for field in group}
    known = {"alert", "annotations", "expr", "for", "keep_firing_for", "labels", "record"}
    assert known >= {field for group in groups for rule in group["rules"] for field in rule}


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_makes_of_ours(
    production: list[Object], tmp_path: Path
) -> None:
    values = KUBERNETES / "components" / "autoscaling-saturation" / "prometheus-adapter.values.yaml"
    (rule,) = yaml.safe_load(values.read_text())["rules"]["custom"]
    (metric,) = one(production, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]

    # The adapter puts its labels in; what is left is PromQL, about metrics that exist.
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'pod="a"')
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": [{"record": "q", "expr": query}]}]}))
    subprocess.run([require("promtool"), "check", "rules", rules], check=True, capture_output=True, timeout=20)
    with serve("gunicorn", tmp_path) as server:
        scraped = server.get("/metrics").body.decode()
    names = set(re.findall(r"service_\w+", query))
    assert {"service_requests_in_flight", "service_worker_threads"} == names
    assert rule["seriesQuery"].partition("{")[0] in names
    assert names == {name for name in names if f"\n{name} " in scraped}


def test_prometheus_finds_and_scrapes_the_pods_as_observability_says(production: list[Object]) -> None:
    monitor, service = one(production, "ServiceMonitor")["spec"], one(production, "Service", "service-management")
    (endpoint,) = monitor["endpoints"]
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"]] == [port["name"] for port in service["spec"]["ports"]]
    assert job["job_name"] == service["metadata"]["labels"][monitor["jobLabel"]]
    assert config["global"]["scrape_interval"] == endpoint["interval"]
    assert config["global"].get("scrape_timeout", "10s") == endpoint["scrapeTimeout"]
    assert job.get("metrics_path", "/metrics") == endpoint["path"]
    assert job.get("sample_limit", 5000) == monitor["sampleLimit"]


def test_the_rules_are_those_of_observability(production: list[Object]) -> None:
    expected = {f"service-{path.stem}": yaml.safe_load(path.read_text()) for path in OBSERVABILITY.glob("rules/*.yml")}
    found = {item["metadata"]["name"]: item["spec"] for item in of_kind(production, "PrometheusRule")}

    assert expected == found, "make manifests"


def test_what_make_manifests_makes_is_up_to_date(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "deploy" / "kubernetes")
    shutil.copytree(OBSERVABILITY, tmp_path / "observability")
    folders = ["deploy/kubernetes/components/monitoring/rules", "observability/grafana/dashboards"]
    (tmp_path / folders[0] / "stale.yaml").write_text("")

    subprocess.run([sys.executable, tmp_path / "deploy" / "kubernetes" / "manifests.py"], check=True, timeout=20)

    for folder in folders:
        assert contents(tmp_path / folder) == contents(REPOSITORY / folder), "make manifests"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_dashboards_are_those_of_observability(production: list[Object]) -> None:
    found = one(production, "ConfigMap", "service-dashboards")
    files = {path.name: path.read_text() for path in OBSERVABILITY.glob("grafana/dashboards/*.json")}

    assert {name: json.loads(text) for name, text in files.items()} == {
        name: json.loads(text) for name, text in found.get("data", {}).items()
    }
    # `kubectl apply` without --server-side keeps a copy in an annotation, which may have 256 KiB.
    assert sum(map(len, files.values())) < 2**18

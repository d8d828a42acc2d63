"""The settings for Prometheus, its adapter and Grafana in deploy/kubernetes, compared with observability/.

`make manifests` copies an adopter's alerts and dashboards there. Until then, only the unchanged parts must agree.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import require
from tests.repository import names
from tests.repository.deploy.kubernetes import KUBERNETES, OBSERVABILITY, Object, of_kind, one, rendered
from tests.servers import serve


@pytest.fixture
def production() -> list[Object]:
    return rendered(KUBERNETES / "overlays" / "production")


def test_the_objects_of_the_operator_have_the_fields_it_knows(production: list[Object]) -> None:
    """The fields of ServiceMonitor and PrometheusRule used here are from the operator's published definitions."""
    monitor = one(production, "ServiceMonitor")["spec"]
    assert {"jobLabel", "selector", "endpoints", "sampleLimit"} == set(monitor)
    (endpoint,) = monitor["endpoints"]
    assert {"port", "path", "interval", "scrapeTimeout"} == set(endpoint)
    assert [] == of_kind(production, "PrometheusRule"), "with each service, every alert would fire twice"
    rule = one(rendered(KUBERNETES / "cluster"), "PrometheusRule", "flask-ops")
    assert {"groups"} == set(rule["spec"])
    groups = rule["spec"]["groups"]
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

    # The adapter inserts its labels. The rest is PromQL about existing metrics.
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'pod="a"')
    (tmp_path / "test.yml").write_text(yaml.safe_dump(_demand(query)))
    subprocess.run([require("promtool"), "test", "rules", tmp_path / "test.yml"], check=True, timeout=20)
    with serve("gunicorn", tmp_path) as server:
        scraped = server.get("/metrics").body.decode()
    names = set(re.findall(r"(?:service|flask)_\w+", query))
    assert 4 == len(names)
    assert rule["seriesQuery"].partition("{")[0] in names
    assert names == {name for name in names if re.search(rf"\n{name}[ {{]", scraped)}


def _demand(query: str) -> dict[str, Any]:
    """Return a promtool case: pods with 4 threads that are idle, half busy, and busy while 3 of 4 are refused."""
    cases = {"idle": (0, 0, 0, 0), "half": (2, 10, 0, 0.5), "overloaded": (4, 10, 30, 4)}
    return {
        "evaluation_interval": "15s",
        "tests": [
            {
                "name": name,
                "interval": "15s",
                "input_series": [
                    {"series": 'service_requests_in_flight{pod="a"}', "values": f"{busy}x20"},
                    {"series": 'service_worker_threads{pod="a"}', "values": "4x20"},
                    {"series": 'flask_http_request_total{pod="a",route="/"}', "values": f"0+{served}x20"},
                    {"series": 'service_requests_shed_total{pod="a",reason="late"}', "values": f"0+{shed}x20"},
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "5m",
                        "exp_samples": [{"labels": '{pod="a"}', "value": expected}],
                    }
                ],
            }
            for name, (busy, served, shed, expected) in cases.items()
        ],
    }


def test_prometheus_finds_and_scrapes_the_pods_as_observability_says(production: list[Object]) -> None:
    monitor, service = (
        one(production, "ServiceMonitor")["spec"],
        one(production, "Service", f"{names.KUBERNETES}-management"),
    )
    (endpoint,) = monitor["endpoints"]
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    job = config["scrape_configs"][0]

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"]] == [port["name"] for port in service["spec"]["ports"]]
    assert job["job_name"] == service["metadata"]["labels"][monitor["jobLabel"]]
    assert config["global"]["scrape_interval"] == endpoint["interval"]
    assert config["global"].get("scrape_timeout", "10s") == endpoint["scrapeTimeout"]
    assert job.get("metrics_path", "/metrics") == endpoint["path"]
    assert job.get("sample_limit", 5000) == monitor["sampleLimit"]


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Return the objects of the cluster after `make manifests`, in a copy."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(KUBERNETES, copy / "deploy" / "kubernetes")
    shutil.copytree(OBSERVABILITY, copy / "observability")
    subprocess.run([sys.executable, copy / "deploy" / "kubernetes" / "manifests.py"], check=True, timeout=20)
    return rendered(copy / "deploy" / "kubernetes" / "cluster")


def test_make_manifests_makes_one_object_of_all_rules_and_one_of_all_dashboards(remade: list[Object]) -> None:
    files = [yaml.safe_load(path.read_text()) for path in sorted(OBSERVABILITY.glob("rules/*.yml"))]
    (made,) = of_kind(remade, "PrometheusRule")
    boards = {path.name: path.read_text() for path in OBSERVABILITY.glob("grafana/dashboards/*.json")}

    assert [group for file in files for group in file["groups"]] == made["spec"]["groups"]
    assert {name: json.loads(text) for name, text in boards.items()} == dashboards(remade)
    assert {"monitoring"} == {item["metadata"]["namespace"] for item in remade}
    # `kubectl apply` without --server-side keeps a copy in an annotation, with at most 256 KiB.
    assert sum(map(len, boards.values())) < 2**18
    assert len(json.dumps(made)) < 2**18


def test_make_manifests_has_been_called_after_the_last_change(remade: list[Object]) -> None:
    """Additions are an exception: see the module's text."""
    now, present = {identity(rule): rule for rule in rules(remade)}, rendered(KUBERNETES / "cluster")

    assert [] == [rule for rule in rules(present) if now.get(identity(rule), rule) != rule], "make manifests"
    boards = dashboards(remade)
    assert [] == [name for name, board in dashboards(present).items() if boards.get(name) != board], "make manifests"


def rules(objects: list[Object]) -> list[Object]:
    groups = [group for item in of_kind(objects, "PrometheusRule") for group in item["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def identity(rule: Object) -> tuple[str, ...]:
    labels = rule.get("labels", {})
    return rule.get("alert") or rule["record"], labels.get("slo", ""), labels.get("severity", "")


def dashboards(objects: list[Object]) -> dict[str, Any]:
    """Return the dashboards of the map that Grafana's sidecar finds."""
    (found,) = (o for o in of_kind(objects, "ConfigMap") if "grafana_dashboard" in o["metadata"].get("labels", {}))
    return {name: json.loads(text) for name, text in found.get("data", {}).items()}

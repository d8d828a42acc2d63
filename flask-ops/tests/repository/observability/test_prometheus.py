"""Prometheus's configuration and the rules in `observability/`, with an adopter's additions."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import yaml

from flask_ops.core.settings import Settings
from observability.drill.scaling import seconds
from tests.observability.files import recorded
from tests.observability.promtool import promtool
from tests.process import REPOSITORY
from tests.programs import require
from tests.repository.observability.files import OBSERVABILITY, alerts

CONFIG = (OBSERVABILITY / "prometheus.yml").read_text()
JOB = yaml.safe_load(CONFIG)["scrape_configs"][0]
STATIC = re.compile(r"^    static_configs:\n(?:      .*\n)+", re.MULTILINE)
ALTERNATIVES = [key for key in ("file_sd_configs", "kubernetes_sd_configs") if f"    # {key}:\n" in CONFIG]
"""The other ways to find targets that are still comments."""


def uncommented(key: str) -> str:
    """Return the configuration with an alternative in place of the static targets."""
    before, _, after = STATIC.sub("", CONFIG).partition(f"    # {key}:\n")
    block, blank, rest = f"    # {key}:\n{after}".partition("\n\n")
    return before + "\n".join(line.replace("    # ", "    ", 1) for line in block.split("\n")) + blank + rest


def test_promtool_accepts_the_rules() -> None:
    returned, output = promtool("check", "rules", *(OBSERVABILITY / "rules").glob("*.yml"))

    assert 0 == returned, output


def test_promtool_accepts_the_configuration_and_its_alternatives(tmp_path: Path) -> None:
    """The Prometheus of Debian 12 is built without Kubernetes."""
    configurations = {"as it is": CONFIG, **{key: uncommented(key) for key in ALTERNATIVES}}
    for name, text in configurations.items():
        path = tmp_path / f"{name}.yml"
        path.write_text(text)
        returned, output = promtool("check", "config", "--syntax-only", path)

        without_kubernetes = "field kubernetes_sd_configs not found in type config.ScrapeConfig" in output
        assert 0 == returned or without_kubernetes, f"{name}: {output}"


def test_pods_of_every_service_are_scraped_on_their_management_port(tmp_path: Path) -> None:
    """Debian's Prometheus cannot ask Kubernetes, so a file contains the answer."""
    if "kubernetes_sd_configs" not in ALTERNATIVES:  # an adopter has replaced or uncommented it
        return
    text = yaml.safe_load(uncommented("kubernetes_sd_configs"))
    job = text["scrape_configs"][0]
    pods = [pod("orders", "management", "Running"), pod("search", "management", "Running")]
    pods += [pod("orders", "http", "Running"), pod("orders", "management", "Succeeded")]
    targets, config = tmp_path / "pods.json", tmp_path / "prometheus.yml"
    targets.write_text(
        json.dumps([{"targets": [f"10.0.0.{i}:8001"], "labels": labels} for i, labels in enumerate(pods)])
    )
    assert [{"role": "pod"}] == job.pop("kubernetes_sd_configs")
    job["file_sd_configs"] = [{"files": [str(targets)]}]
    del text["rule_files"]
    config.write_text(yaml.safe_dump(text))

    command: list[str | Path] = [require("promtool"), "check", "service-discovery", "--timeout=1s", config]
    found = json.loads(subprocess.run([*command, job["job_name"]], capture_output=True, check=True).stdout)
    kept = [target["labels"] for target in found if target["labels"]]
    assert {("10.0.0.0:8001", "orders", "prod", "orders-1"), ("10.0.0.1:8001", "search", "prod", "search-1")} == {
        (labels["instance"], labels["job"], labels["namespace"], labels["pod"]) for labels in kept
    }


def pod(name: str, port: str, phase: str) -> dict[str, str]:
    """Return the labels that Kubernetes gives to one port of a pod."""
    return {
        "__meta_kubernetes_namespace": "prod",
        "__meta_kubernetes_pod_name": f"{name}-1",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": name,
        "__meta_kubernetes_pod_container_port_name": port,
        "__meta_kubernetes_pod_phase": phase,
    }


def test_prometheus_3_accepts_every_field() -> None:
    """These are the points of its migration guide about configurations. `make test-newer` runs a Prometheus 3."""
    assert not re.search("scrape_classic_histograms|api_version|enable_http2|target.*https?://", CONFIG)


def test_the_job_scrapes_management_addresses_and_its_limit_is_that_of_the_alert() -> None:
    """The alert fires from 60 percent on."""
    near, management = alerts().get("ServiceSeriesNearLimit"), Settings.from_environ({}).management_bind
    assert management is not None
    targets = [target for config in JOB.get("static_configs", []) for target in config["targets"]]

    assert {str(management.port)} >= {target.rpartition(":")[2] for target in targets}
    assert near is None or f"> {JOB['sample_limit'] * 0.6:.0f})" in near["expr"]


def test_prometheus_keeps_its_data_for_longer_than_the_budget_needs_them() -> None:
    """Prometheus keeps 15 days by default, its operator one. A budget of 30 days would silently cover less."""
    days = max(float(found[1]) for name in recorded() if (found := re.search(r"budget_left:ratio(\d+)d", name)))
    cluster = REPOSITORY / "deploy" / "kubernetes" / "cluster"
    for path in (OBSERVABILITY / "prometheus.yml", OBSERVABILITY / "compose.yaml", cluster / "kustomization.yaml"):
        kept = re.findall(r"retention(?:\.time=|: )(\w+)", path.read_text())

        assert kept, path
        assert all(seconds(duration) > seconds(f"{days:.0f}d") for duration in kept), path

"""The drill and `make monitor` find the service in an adopter's configuration of Prometheus."""

from __future__ import annotations

from pathlib import Path

from observability import configuration
from tests.observability.promtool import promtool

CONFIG = """
global: {scrape_interval: 15s, external_labels: {cluster: one}}
rule_files: [rules/*.yml]
alerting:
  alertmanagers:
    - dns_sd_configs: [{names: [alertmanager.example]}]
scrape_configs:
  - job_name: orders
    sample_limit: 5000
    file_sd_configs: [{files: [targets/*.json]}]
    relabel_configs: [{regex: pod, action: labeldrop}]
  - job_name: machine
    static_configs: [{targets: ["127.0.0.1:9100"]}]
"""


def test_only_the_service_is_scraped_at_the_address_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIG)

    assert "orders" == configuration.job(path)
    assert {
        "global": {"scrape_interval": "15s", "external_labels": {"cluster": "one"}},
        "rule_files": ["rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:2"]}]}]},
        "scrape_configs": [
            {"job_name": "orders", "sample_limit": 5000, "static_configs": [{"targets": ["127.0.0.1:1"]}]}
        ],
    } == configuration.aimed(path, "127.0.0.1:1", "127.0.0.1:2")
    assert 0 == promtool("check", "config", path)[0]

"""Grafana's provisioning fits Prometheus's configuration and the dashboards."""

from __future__ import annotations

import yaml

from tests.repository.observability.files import OBSERVABILITY

PROVISIONING = OBSERVABILITY / "grafana" / "provisioning"


def test_the_data_source_has_a_fixed_uid_and_the_scrape_interval() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    scrape = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())["global"]["scrape_interval"]

    assert ("prometheus", scrape) == (source["type"], source["jsonData"]["timeInterval"])
    assert source["uid"]


def test_compose_mounts_the_folder_of_the_dashboards() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/service.yml").read_text())["providers"]
    grafana = yaml.safe_load((OBSERVABILITY / "compose.yaml").read_text())["services"]["grafana"]

    assert "file" == provider["type"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]

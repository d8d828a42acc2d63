"""The containers of observability/compose.yaml, checked by docker-compose without starting them.

docker-compose version 1 writes ports and mounts as text, version 2 as mappings.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import require
from tests.repository.observability.files import OBSERVABILITY

COMPOSE = OBSERVABILITY / "compose.yaml"
MONITORING = {"prometheus", "alertmanager", "grafana"}
OPEN_TO_EVERYBODY = {"8001", "9090", "9093"}
"""Ports without a password: the management address, Prometheus and Alertmanager."""
PASSWORD = "GRAFANA_ADMIN_PASSWORD"


def config(**environ: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [require("docker-compose"), "--file", COMPOSE, "config"]
    inherited = {name: value for name, value in os.environ.items() if name != PASSWORD}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**inherited, **environ})


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    done = config(**{PASSWORD: "of a test"})
    assert 0 == done.returncode, done.stderr
    found: dict[str, dict[str, Any]] = yaml.safe_load(done.stdout)["services"]
    return found


def test_it_is_the_service_and_what_monitors_it(services: dict[str, dict[str, Any]]) -> None:
    assert MONITORING <= set(services)
    assert any("build" in service for service in services.values())
    assert "of a test" == services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    for name in MONITORING:
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
        assert re.fullmatch(r".+:v?\d+\.\d+\.\d+", services[name]["image"]), name


def test_there_is_no_default_password() -> None:
    for environ in ({}, {PASSWORD: ""}):
        done = config(**environ)

        assert 0 != done.returncode, environ
        assert "choose the password of Grafana's user admin" in done.stderr, environ


def test_ports_without_a_password_are_published_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    for port in (port for service in services.values() for port in service.get("ports", [])):
        host, _, inside = port.rpartition(":") if isinstance(port, str) else (port["host_ip"], "", str(port["target"]))

        assert host.startswith("127.0.0.1") or inside.partition("/")[0] not in OPEN_TO_EVERYBODY


def test_every_mounted_file_exists(services: dict[str, dict[str, Any]]) -> None:
    volumes = [volume for service in services.values() for volume in service.get("volumes", [])]
    mounted = {volume.split(":")[0] if isinstance(volume, str) else volume["source"] for volume in volumes}
    paths = [Path(source) for source in mounted if source.startswith("/")]

    assert {"alertmanager.yml", "prometheus.yml", "rules", "provisioning", "dashboards"} <= {p.name for p in paths}
    assert all(path.exists() for path in paths)

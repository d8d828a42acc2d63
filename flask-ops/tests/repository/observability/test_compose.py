"""The containers of observability/compose.yaml, as far as docker-compose can tell without starting them.

Its first version writes ports and mounts as text, its second one as mappings.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repository.observability.files import OBSERVABILITY
from tests.programs import require

COMPOSE = OBSERVABILITY / "compose.yaml"
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
    assert {"service", "prometheus", "alertmanager", "grafana"} == set(services)
    assert "of a test" == services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]


@pytest.mark.parametrize("environ", [{}, {PASSWORD: ""}])
def test_there_is_no_default_password(environ: dict[str, str]) -> None:
    done = config(**environ)

    assert 0 != done.returncode
    assert "choose the password of Grafana's user admin" in done.stderr


def test_versions_are_pinned_and_every_container_has_a_health_check(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert name == "service" or re.fullmatch(r".+:v?\d+\.\d+\.\d+", service["image"])


def test_ports_are_published_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert {"127.0.0.1"} == {port.split(":")[0] if isinstance(port, str) else port["host_ip"] for port in ports}


def test_what_is_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    volumes = [volume for service in services.values() for volume in service.get("volumes", [])]
    mounted = {volume.split(":")[0] if isinstance(volume, str) else volume["source"] for volume in volumes}
    paths = [Path(source) for source in mounted if source.startswith("/")]

    assert {"alertmanager.yml", "prometheus.yml", "rules", "provisioning", "dashboards"} == {p.name for p in paths}
    assert all(path.exists() for path in paths)

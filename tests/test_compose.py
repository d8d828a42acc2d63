"""The containers of observability/compose.yaml, as far as docker-compose can tell without starting them.

Its first version writes ports and mounts as text, its second one as mappings.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
"""compose.yaml runs the image as hardened as the tests, and its numbers fit the service's."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.observability import OBSERVABILITY
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
from service.settings import Settings, unknown_variables
from tests.docker import HARDENED
from tests.process import ROOT


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])


def test_the_service_is_hardened(services: dict[str, Any]) -> None:
    service = services["service"]

    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert {f"--tmpfs={mount.partition(':')[0]}" for mount in service["tmpfs"]} <= set(HARDENED)
    assert {"pids_limit", "mem_limit", "cpus"} <= set(service)


def test_the_settings_are_ones_the_service_accepts(services: dict[str, Any]) -> None:
    environment = services["service"]["environment"]

    assert {} == unknown_variables(environment)
    assert 1 == Settings.from_environ(environment).trusted_proxies


def test_only_the_proxy_can_be_reached(services: dict[str, Any]) -> None:
    networks = yaml.safe_load((ROOT / "compose.yaml").read_text())["networks"]

    assert ["proxy"] == [name for name, service in services.items() if "ports" in service]
    assert ["inside"] == services["service"]["networks"]
    assert networks["inside"]["internal"] is True


def test_drain_and_graceful_stop_fit_into_the_grace(services: dict[str, Any]) -> None:
    settings = Settings.from_environ(services["service"]["environment"])
    grace = services["service"]["stop_grace_period"]

    assert int(grace.removesuffix("s")) >= settings.drain_seconds + settings.graceful_seconds + 5


def test_the_proxy_asks_the_service_where_it_listens(services: dict[str, Any]) -> None:
    upstream = (ROOT / "deploy" / "compose" / "upstream.conf").read_text()
    bind = Settings.from_environ({}).bind

    assert f"server service:{bind.port} " in upstream
    assert all(volume.endswith(":ro") for volume in services["proxy"]["volumes"])

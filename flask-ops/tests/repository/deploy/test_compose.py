"""compose.yaml runs the image as hardened as the tests, and its numbers fit the service's."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flask_ops.core.settings import Settings, unknown_variables
from tests.repository.deploy.docker import HARDENED
from tests.process import REPOSITORY


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"])


def test_the_service_is_hardened(services: dict[str, Any]) -> None:
    service = services["service"]

    assert service["init"] is True
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
    networks = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["networks"]

    assert ["proxy"] == [name for name, service in services.items() if "ports" in service]
    assert ["inside"] == services["service"]["networks"]
    assert networks["inside"]["internal"] is True


def test_drain_and_graceful_stop_fit_into_the_grace(services: dict[str, Any]) -> None:
    settings = Settings.from_environ(services["service"]["environment"])
    grace = services["service"]["stop_grace_period"]

    assert int(grace.removesuffix("s")) >= settings.drain_seconds + settings.graceful_seconds + 5


def test_the_proxy_asks_the_service_where_it_listens(services: dict[str, Any]) -> None:
    upstream = (REPOSITORY / "deploy" / "compose" / "upstream.conf").read_text()
    bind = Settings.from_environ({}).bind

    assert f"server service:{bind.port} " in upstream
    assert all(volume.endswith(":ro") for volume in services["proxy"]["volumes"])

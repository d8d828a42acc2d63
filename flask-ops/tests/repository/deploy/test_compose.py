"""compose.yaml runs the image hardened, and its numbers fit the service's."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flask_ops.core.settings import Settings
from tests.process import REPOSITORY
from tests.repository import names
from tests.repository.adopted import complaints

MANAGEMENT_PORT = 8001
LOOPBACK = {"127.0.0.1", "[::1]"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the services of compose.yaml, with `service` as the key that `make name` renames."""
    found = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    return {"service" if name == names.COMPOSE else name: service for name, service in found.items()}


def test_the_service_is_hardened(services: dict[str, Any]) -> None:
    service = services["service"]

    assert service["init"] is True
    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert "no-new-privileges:true" in service["security_opt"]
    mounts = dict(mount.partition(":")[::2] for mount in service["tmpfs"])
    assert "/tmp" in mounts  # noqa: S108 - in the container
    assert all({"noexec", "nosuid", "nodev"} <= set(options.split(",")) for options in mounts.values())
    assert {"pids_limit", "mem_limit", "cpus"} <= set(service)
    assert not service.get("privileged")


def test_the_service_accepts_the_settings_and_they_fit_the_grace(services: dict[str, Any]) -> None:
    environment, grace = services["service"]["environment"], services["service"]["stop_grace_period"]
    settings = Settings.from_environ(environment)

    assert {"unknown": [], "error": ""} == complaints(environment)
    assert settings.trusted_proxies >= 1
    assert int(grace.removesuffix("s")) >= settings.drain_seconds + settings.graceful_seconds + 5


def test_the_management_address_cannot_be_reached_from_other_machines(services: dict[str, Any]) -> None:
    """Other ports may be published, but this one requires no password."""
    for port in services["service"].get("ports", []):
        host, inside = (port.get("host_ip", ""), port["target"]) if isinstance(port, dict) else split(port)
        first, _, last = str(inside).partition("-")

        assert MANAGEMENT_PORT not in range(int(first), int(last or first) + 1) or host in LOOPBACK, port


def split(port: str | int) -> tuple[str, str]:
    """Return the host address and the container's port, or range of ports. The address is empty if there is none."""
    published, _, inside = str(port).partition("/")[0].rpartition(":")
    return published.rpartition(":")[0], inside


def test_service_and_proxy_share_a_network_without_a_way_out(services: dict[str, Any]) -> None:
    networks = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["networks"]
    shared = set(services["service"]["networks"]) & set(services["proxy"]["networks"])

    assert any((networks[name] or {}).get("internal") is True for name in shared)
    assert services["proxy"]["ports"]


def test_the_proxy_asks_the_service_where_it_listens(services: dict[str, Any]) -> None:
    upstream = (REPOSITORY / "deploy" / "compose" / "upstream.conf").read_text()
    bind = Settings.from_environ({}).bind

    assert f"server {names.COMPOSE}:{bind.port} " in upstream
    assert all(volume.endswith(":ro") for volume in services["proxy"]["volumes"])

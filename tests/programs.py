"""External programs that tests need: installed by `make test` where it may."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PACKAGES = {
PACKAGES = {
    "haproxy": "haproxy",
    "promtool": "prometheus",
    "chromium": "chromium",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "kubectl": "kubernetes-client",
    "systemd-analyze": "systemd",
}
}


def require(name: str) -> Path:
    """Return the path of a program. Without it the test is skipped, under ``CI=true`` it fails."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    message = f"{name} is missing: apt-get install --no-install-recommends {PACKAGES[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)

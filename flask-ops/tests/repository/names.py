"""The current names of the service in this repository. `make name` changes them."""

from __future__ import annotations

import re
import tomllib

import yaml

from tests.process import REPOSITORY

DISTRIBUTION: str = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["name"]
(LOG,) = re.findall(
    r'^class Settings\(.*\bname="(.+?)"', (REPOSITORY / "service/settings.py").read_text(), re.MULTILINE
)
KUBERNETES: str = yaml.safe_load((REPOSITORY / "deploy/kubernetes/base/deployment.yaml").read_text())["metadata"][
    "name"
]
COMPOSE, *_ = (
    name
    for name, service in yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"].items()
    if "build" in service
)
"""The service in compose.yaml whose image is built here."""
UNIT, *_ = (
    path
    for path in sorted((REPOSITORY / "deploy/systemd").glob("*.service"))
    if f"\nSyslogIdentifier={path.stem}\n" in path.read_text()
)
"""The unit file of systemd, named after the service."""

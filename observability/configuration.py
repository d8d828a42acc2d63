"""The Prometheus configuration of this folder, adapted to programs of the drill or ``make monitor``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def aimed(path: Path, target: str, alertmanager: str) -> dict[str, Any]:
    """Return the configuration at ``path`` with a single target.

    ``target`` and ``alertmanager`` have the form ``host:port``. The result keeps only the first job, which is the
    service, and drops its service discovery.
    """
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    service = config["scrape_configs"][0]
    found = {key for key in service if key.endswith("_sd_configs")} | {"relabel_configs"}
    config["scrape_configs"] = [
        {key: value for key, value in service.items() if key not in found} | {"static_configs": [{"targets": [target]}]}
    ]
    return config


def job(path: Path) -> str:
    """Return the job name of the service, which the rules select."""
    return str(yaml.safe_load(path.read_text())["scrape_configs"][0]["job_name"])

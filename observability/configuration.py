"""Prometheus's configuration of this folder, aimed at programs that the drill or ``make monitor`` starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def aimed(path: Path, target: str, alertmanager: str) -> dict[str, Any]:
    """Return the configuration at ``path`` for one target, which is ``host:port`` as is ``alertmanager``.

    The first job is the service. However its targets are found, and whatever else is scraped, is left out.
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
    """Return the name of the service's job, which rules select."""
    return str(yaml.safe_load(path.read_text())["scrape_configs"][0]["job_name"])

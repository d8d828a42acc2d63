"""The alerts that ``flask_ops`` ships. The drill judges only these."""

from __future__ import annotations

from collections.abc import Iterable

import yaml
from flask_ops import observability

WATCHDOG = "Watchdog"


def _alerts() -> frozenset[str]:
    files = [yaml.safe_load(text) for name, text in observability.files().items() if name.startswith("rules/")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return frozenset(rule["alert"] for rule in rules if "alert" in rule)


SHIPPED = _alerts()


def shipped(titles: Iterable[str]) -> frozenset[str]:
    """Return the titles of shipped alerts, without your own. A title is ``Alert`` or ``Alert{objective}``."""
    return frozenset(title for title in titles if title.partition("{")[0] in SHIPPED)

"""Grafana's dashboards, read for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.observability.files import FILES

ENVIRONMENT = ("cluster", "env", "environment", "namespace")
"""Labels that only some targets have."""
ALL = {**dict.fromkeys(("job", "instance", "route"), ".+"), **dict.fromkeys(ENVIRONMENT, ".*")}
"""The values of the variables for a choice of all."""

DASHBOARDS = {Path(name).stem: json.loads(text) for name, text in FILES.items() if name.endswith(".json")}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel except rows."""
    for panel in dashboard["panels"]:
        yield from (panel for panel in [panel, *panel.get("panels", [])] if panel["type"] != "row")


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each query with the title of its panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def overview() -> dict[str, str]:
    """Return the query of each column with values in the table of all services."""
    table = next(panels(DASHBOARDS["services"]))
    (organize,) = (one["options"] for one in table["transformations"] if one["id"] == "organize")
    return {organize["renameByName"][f"Value #{one['refId']}"]: one["expr"] for one in table["targets"]}


def annotation_queries(dashboard: dict[str, Any]) -> dict[str, str]:
    """Return the query of each annotation that has one."""
    return {one["name"]: one["expr"] for one in dashboard["annotations"]["list"] if "expr" in one}


def variables(dashboard: dict[str, Any], kind: str = "query") -> dict[str, dict[str, Any]]:
    """Return the variables of one kind by their names."""
    return {one["name"]: one for one in dashboard["templating"]["list"] if one["type"] == kind}


def filled(query: str, values: Mapping[str, str], rate_interval: str = "5m") -> str:
    """Replace Grafana's variables in a query, as Grafana does. Raises KeyError for a variable without a value."""
    known = {"__rate_interval": rate_interval, **values}
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda name: known[name[1] or name[2]], query)

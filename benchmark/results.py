"""The result files: JSON with every measurement, Markdown with the tables, SVG with the picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark import clients, growth, load, memory, overload, picture, saturation, scraped, scrapes, startup

MODULES = {
    "load": load,
    "clients": clients,
    "scrapes": scrapes,
    "scraped": scraped,
    "saturation": saturation,
    "overload": overload,
    "memory": memory,
    "startup": startup,
    "growth": growth,
}
_TITLES = {
    "load": "Requests under load",
    "clients": "Few and many clients",
    "scrapes": "Scrapes",
    "scraped": f"Requests during scrapes of {scraped.ROUTES:,} routes",
    "saturation": "Every thread busy",
    "overload": "Overload",
    "memory": "Memory",
    "startup": "Start",
    "growth": "Growth",
}
_EXPLANATION = """\
Figures are medians, with the range in brackets. Ratios are computed for each round. CPU is the user and system time of
all server processes, from `/proc`. wrk generates the load. "On one worker" counts the rounds in which one worker did
nine tenths of the work. In such a round this worker held most of the connections, and the server was only as fast as
one process.
"""


def write(folder: Path, machine: Mapping[str, Any], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Write ``results.json``, ``results.md`` and ``results.svg``, and return the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = render(machine, results)
    (folder / "results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    (folder / "results.md").write_text(text)
    (folder / "results.svg").write_text(picture.draw(results, _caption(machine)))
    return text


def render(machine: Mapping[str, Any], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the Markdown with all tables."""
    parts = ["# Results of `make bench`", f"{_caption(machine)}.", _packages(machine), _EXPLANATION.rstrip()]
    for name, module in MODULES.items():
        if results.get(name):
            parts += [f"## {_TITLES[name]}", module.report([dict(row) for row in results[name]]).rstrip()]
    return "\n\n".join(parts) + "\n"


def _caption(machine: Mapping[str, Any]) -> str:
    run = f"{machine['rounds']} x {machine['seconds']} s"
    where = f"{machine['cpus']} x {machine['cpu']}, Python {machine['python']}"
    return f"{machine['date'][:10]}, {where}, {run}, load before {machine['load']:.1f}, commit {machine['commit']}"


def _packages(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in machine["packages"].items()) + "."

"""Shorter durations for the whole configuration, all scaled here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from observability.configuration import aimed

FACTOR = 300
"""An hour becomes 12 seconds, and three days become 14 minutes."""
SCRAPE_SECONDS = 1
"""The interval of scrapes and of evaluations. The service publishes its gauges every half second."""
LEAST_SECONDS = 4 * SCRAPE_SECONDS
"""The minimum of every range and ``for``. A rate needs samples, and one late scrape must not raise an alert."""

SAMPLES_FACTOR = 10
"""The limit of samples in a scrape becomes 10000. A scrape with more than 60000 would take longer than a second."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = r"(?:[0-9]+(?:ms|[smhdwy]))+"


def seconds(duration: str) -> float:
    """Return the seconds of a Prometheus duration, for example ``1h30m``."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|[smhdwy])", duration))


def shortened(duration: str, least: float = LEAST_SECONDS) -> str:
    """Return the duration divided by FACTOR, but at least ``least`` seconds. 0 stays 0."""
    length = seconds(duration)
    return f"{round(max(length / FACTOR, least) * 1000) if length else 0}ms"


def flags() -> list[str]:
    """Return Prometheus options that shorten defaults."""
    return [
        f"--query.lookback-delta={shortened('5m')}",
        f"--rules.alert.resend-delay={shortened('1m', least=SCRAPE_SECONDS)}",
    ]


def expression(query: str) -> str:
    """Return a query with shorter ranges, subqueries and offsets. Names of series stay the same."""

    def replace(found: re.Match[str]) -> str:
        text = found[0]
        return text if text[0] == '"' else re.sub(_DURATION, lambda duration: shortened(duration[0]), text)

    return re.sub(rf'"[^"]*"|\[{_DURATION}(?::(?:{_DURATION})?)?\]|\boffset {_DURATION}', replace, query)


def _fewer_samples(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]) // SAMPLES_FACTOR}"


def rules(text: str) -> str:
    """Return a rule file in which all durations are shorter, and the limit of samples is lower."""
    file = yaml.safe_load(text)
    for group in file["groups"]:
        group["interval"] = f"{SCRAPE_SECONDS}s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"(scrape_samples_.* > )(\d+)", _fewer_samples, expression(rule["expr"]))
            for key in {"for", "keep_firing_for"} & rule.keys():
                rule[key] = shortened(rule[key])
    return yaml.safe_dump(file, sort_keys=False)


def prometheus(path: Path, target: str, alertmanager: str, others: Mapping[str, str]) -> str:
    """Return the Prometheus configuration for one target, and for the targets of ``others`` by their jobs.

    Addresses have the form ``host:port``.
    """
    config = aimed(path, target, alertmanager)
    config["scrape_configs"][0]["static_configs"] += [
        {"targets": [address], "labels": {"job": job}} for job, address in others.items()
    ]
    durations = {key for key, value in config["global"].items() if re.fullmatch(_DURATION, str(value))}
    config["global"] |= dict.fromkeys(durations, f"{SCRAPE_SECONDS}s")
    service = config["scrape_configs"][0]
    if "sample_limit" in service:
        service["sample_limit"] //= SAMPLES_FACTOR
    return yaml.safe_dump(config, sort_keys=False)


def alertmanager(text: str, webhook: str, teams: Sequence[str] = ()) -> str:
    """Return the Alertmanager configuration. Each receiver gets its alerts at ``webhook``/NAME.

    Each of the ``teams`` has a copy of every route and receiver, whose name is TEAM-NAME.
    """
    config = yaml.safe_load(text)
    routes = config["route"].get("routes", [])
    # In new objects: YAML would write the same object as an alias.
    copies = [
        {**route, "matchers": [f'team="{team}"', *route["matchers"]], "receiver": f"{team}-{route['receiver']}"}
        for team in teams
        for route in routes
    ]
    config["route"]["routes"] = [*copies, *routes]
    _shorten_routes(config["route"], lambda duration: shortened(duration, least=0.1))
    # This removes your real receivers: a drill must not wake anybody.
    names = [receiver["name"] for receiver in config["receivers"]]
    config["receivers"] = [
        {"name": name, "webhook_configs": [{"url": f"{webhook}/{name}", "send_resolved": True}]}
        for name in [*names, *(f"{team}-{name}" for team in teams for name in names)]
    ]
    return yaml.safe_dump(config, sort_keys=False)


def _shorten_routes(route: dict[str, Any], shorten: Callable[[str], str]) -> None:
    for key in {"group_wait", "group_interval", "repeat_interval"} & route.keys():
        route[key] = shorten(route[key])
    for child in route.get("routes", []):
        _shorten_routes(child, shorten)


def write(
    source: Path,
    directory: Path,
    *,
    target: str,
    alertmanager_address: str,
    webhook: str,
    others: Mapping[str, str] | None = None,
    teams: Sequence[str] = (),
) -> None:
    """Write the configuration of ``source`` to ``directory``, with shorter durations."""
    (directory / "rules").mkdir()
    for path in (source / "rules").glob("*.yml"):
        (directory / "rules" / path.name).write_text(rules(path.read_text()))
    config = prometheus(source / "prometheus.yml", target, alertmanager_address, others or {})
    (directory / "prometheus.yml").write_text(config)
    text = (source / "alertmanager.yml").read_text()
    (directory / "alertmanager.yml").write_text(alertmanager(text, webhook, teams))

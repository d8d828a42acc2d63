"""Service level objectives: their types, and the parsers of the settings that hold them.

A request counts for one objective of each kind. If its route has an objective, it counts for this one. Otherwise it
counts for the objective of the service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

_PERCENT = r"(9[0-9](?:\.[0-9]{1,6})?)%?"
"""Below 90 %, the error budget of a complete outage would not burn fast enough for an alert that pages."""
_LATENCY = re.compile(_PERCENT + r"\s*<\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(ms|s)")
_ROUTE = r"(?:/\S*|unmatched)"
_BEFORE_ROUTE = re.compile(r"\s*,\s*(?=/|unmatched\b)")
_LONGEST_SECONDS = 3600

_EXPECTED_RATIO = "a percentage from 90 to below 100, for example 99.9"
_EXPECTED_LATENCY = "a percentage from 90 to below 100 and a time up to 1 h, for example 99% < 300ms"
_EXPECTED_ROUTES = (
    "objectives of routes with commas between them, each once, from 90%, for example /checkout=99.95, /reports=95% < 5s"
)


class Latency(NamedTuple):
    """A latency objective: the share of requests that take at most ``seconds``."""

    ratio: float
    seconds: float

    def __str__(self) -> str:
        bound = f"{self.seconds:g}s" if self.seconds >= 1 else f"{self.seconds * 1000:g}ms"
        return f"{self.ratio * 100:g}% < {bound}"


class RouteObjectives(NamedTuple):
    """The objectives by route, for routes that have their own."""

    availability: Mapping[str, float] = MappingProxyType({})
    latency: Mapping[str, Latency] = MappingProxyType({})


def ratio(value: str) -> float:
    """Parse a percentage, for example ``99.9``, into a ratio."""
    match = re.fullmatch(_PERCENT, value)
    if match is None:
        raise ValueError(_EXPECTED_RATIO)
    return float(Decimal(match[1]) / 100)  # a float would make 0.9990000000000001 of 99.9


def latency(value: str) -> Latency:
    """Parse a latency objective, for example ``99% < 300ms``."""
    match = _LATENCY.fullmatch(value)
    if match is None:
        raise ValueError(_EXPECTED_LATENCY)
    percent, number, unit = match.groups()
    bound = float(Decimal(number) / (1000 if unit == "ms" else 1))
    if not 0 < bound <= _LONGEST_SECONDS:
        raise ValueError(_EXPECTED_LATENCY)
    return Latency(ratio(percent), bound)


def route_objectives(value: str) -> RouteObjectives:
    """Parse objectives of routes, for example ``/checkout=99.95, /reports=95% < 5s``."""
    availabilities: dict[str, float] = {}
    latencies: dict[str, Latency] = {}
    for pair in _BEFORE_ROUTE.split(value.strip(" ,")):
        route, _, text = pair.rpartition("=")
        route, text = route.strip(), text.strip()
        if not re.fullmatch(_ROUTE, route) or route in (latencies if "<" in text else availabilities):
            raise ValueError(_EXPECTED_ROUTES)
        try:
            if "<" in text:
                latencies[route] = latency(text)
            else:
                availabilities[route] = ratio(text)
        except ValueError:
            raise ValueError(_EXPECTED_ROUTES) from None
    return RouteObjectives(MappingProxyType(availabilities), MappingProxyType(latencies))


def routes(value: str) -> frozenset[str]:
    """Parse routes separated by commas."""
    found = frozenset(_BEFORE_ROUTE.split(value.strip(" ,")))
    if not all(re.fullmatch(_ROUTE, route) for route in found):
        raise ValueError("routes with commas between them, for example /admin, /items/<int:number>")
    return found

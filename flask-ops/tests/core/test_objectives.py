"""The settings of objectives accept some texts, and refuse others with the expected form."""

from __future__ import annotations

import pytest

from flask_ops.core.objectives import Latency, RouteObjectives
from flask_ops.core.settings import Settings, SettingsError, documentation


def read(**environ: str) -> Settings:
    return Settings.from_environ({f"SERVICE_{name}": value for name, value in environ.items()})


def test_without_settings_the_objectives_are_99_9_percent_and_99_percent_within_300_ms() -> None:
    settings = read()

    assert (0.999, Latency(0.99, 0.3)) == (settings.slo_availability, settings.slo_latency)
    assert (RouteObjectives(), frozenset()) == (settings.slo_routes, settings.slo_exclude)
    assert (None, "runbook.md") == (settings.team, settings.runbook_url)
    shown = {name: default for name, default, _ in documentation()}
    assert "`99.9`" == shown["SERVICE_SLO_AVAILABILITY"]
    assert "`99% < 300ms`" == shown["SERVICE_SLO_LATENCY"]
    assert {"none"} == {shown[f"SERVICE_{name}"] for name in ("SLO_ROUTES", "SLO_EXCLUDE", "TEAM")}


def test_a_percentage_is_the_exact_ratio() -> None:
    for text, ratio in {"99.9": 0.999, "99.95%": 0.9995, "90": 0.9, "99.999": 0.99999}.items():
        assert ratio == read(SLO_AVAILABILITY=text).slo_availability, text


def test_a_latency_is_a_percentage_within_a_time() -> None:
    for text, latency in {
        "95% < 5s": Latency(0.95, 5),
        "99.5<250ms": Latency(0.995, 0.25),
        "99% <  1.5 s": Latency(0.99, 1.5),
    }.items():
        found = read(SLO_LATENCY=text).slo_latency

        assert latency == found, text
        assert found == read(SLO_LATENCY=str(found)).slo_latency, text


def test_routes_have_objectives_of_either_kind() -> None:
    """A comma or an equals sign may be a part of a route."""
    settings = read(
        SLO_ROUTES="/checkout=99.95, /reports=95% < 5s,/checkout = 99% < 1s, /<any(a,b):x>=99, unmatched=90",
        SLO_EXCLUDE="/admin, /<any(a,b):x>/y",
    )

    availability = {"/checkout": 0.9995, "/<any(a,b):x>": 0.99, "unmatched": 0.9}
    latency = {"/reports": Latency(0.95, 5), "/checkout": Latency(0.99, 1)}
    assert RouteObjectives(availability, latency) == settings.slo_routes
    assert {"/admin", "/<any(a,b):x>/y"} == settings.slo_exclude


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *[
            ("SLO_AVAILABILITY", value, "from 90 to below 100")
            for value in ("100", "0.999", "89.9", "99,9", "-99", "x")
        ],
        *[
            ("SLO_LATENCY", value, "for example 99% < 300ms")
            for value in ("99%", "300ms", "99% < 300", "99% < 0s", "99% < 2h", "99% > 1s", "50% < 1s", "99% < 3601s")
        ],
        *[
            ("SLO_ROUTES", value, "for example /checkout=99.95")
            for value in ("checkout=99", "/a", "/a=", "/a=99 /b=99", "/a=99, /a=99.5", "/a=50", "/a=99% < 1", "=99")
        ],
        ("SLO_EXCLUDE", "/a, b", "routes with commas"),
        ("SLO_EXCLUDE", "admin", "routes with commas"),
        ("TEAM", 'a"b', "1 to 63 letters"),
        *[("RUNBOOK_URL", value, "without #") for value in ("wiki", "ftp://a/b", "https://a/b#c", "https://a b")],
    ],
)
def test_an_invalid_value_is_named_with_what_is_valid(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(**{name: value})
    (problem,) = raised.value.problems

    assert problem.startswith(f"SERVICE_{name} is {value!r}, expected ")
    assert expected in problem

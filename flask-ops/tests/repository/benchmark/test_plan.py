"""The command line."""

from __future__ import annotations

import pytest

from benchmark.plan import SERIES, Plan
from benchmark.results import MODULES
from benchmark.subject import SUBJECTS


def test_without_options_all_is_measured_five_times() -> None:
    plan = Plan.parse([])

    assert list(SUBJECTS.values()) == list(plan.subjects)
    assert (5, SERIES) == (plan.rounds, tuple(plan.series))
    assert set(MODULES) == set(SERIES)
    assert ["exporter", "service"] == [subject.name for subject in plan.scraped()]


def test_bare_flask_is_always_measured() -> None:
    assert ["bare", "service"] == [subject.name for subject in Plan.parse(["--subjects=service"]).subjects]


def test_invalid_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = {
        "--rounds=0": "'0' is not a number from 1 to 100",
        "--seconds=x": "'x' is not a number from 1 to 60",
        "--subjects=bare,django": "django: expected some of bare, access-log",
        "--recycled=1,99999": "'99999' is not a number from 0 to 10000",
    }
    for option, reason in reasons.items():
        with pytest.raises(SystemExit):
            Plan.parse([option])

        assert reason in capsys.readouterr().err

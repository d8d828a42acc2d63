"""The drill: shortened durations, the rule for passing, and a part of it with real programs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import promql_parser
import psutil
import pytest
import yaml

from observability.drill import scaling
from observability.drill.faults import FAULTS, UNTRIED, Fault
from observability.drill.run import Outcome
from observability.drill.shipped import WATCHDOG
from tests.observability.files import alerts, rules
from tests.process import BIN, DEADLINE, REPOSITORY, Server, started, wait_until
from tests.programs import require
from tests.repository.observability.files import OBSERVABILITY

SOME = os.environ.get("DRILL", "errors,process gone").split(",")
"""The faults of this test; `make drill` injects all of them."""


@pytest.mark.parametrize(
    ("duration", "shorter"),
    [("0s", "0ms"), ("1h", "12000ms"), ("3d", "864000ms"), ("1h30m", "18000ms"), ("2m", "4000ms")],
)
def test_a_duration_is_divided_but_holds_four_scrapes(duration: str, shorter: str) -> None:
    assert shorter == scaling.shortened(duration)


def test_ranges_subqueries_and_offsets_are_shortened_and_names_and_numbers_are_not() -> None:
    query = 'sum_over_time(a:b:increase1h{x="[1h]"}[1d:5m]) > 5 and rate(c[1h] offset 3h) > 1'
    expected = 'sum_over_time(a:b:increase1h{x="[1h]"}[288000ms:4000ms]) > 5 and rate(c[12000ms] offset 36000ms) > 1'

    assert expected == scaling.expression(query)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_no_duration_of_a_rule_is_left_as_it_is(rule: dict[str, str]) -> None:
    shorter = scaling.expression(rule["expr"])

    promql_parser.parse(shorter)
    assert [] == re.findall(r"(?:\[|:|offset )\d+[smhdwy]\b", shorter)


def test_promtool_accepts_what_is_shortened(tmp_path: Path) -> None:
    scaling.write(OBSERVABILITY, tmp_path, target="127.0.0.1:1", alertmanager_address="127.0.0.1:2", webhook="http://x")
    commands: list[list[str | Path]] = [
        [require("promtool"), "check", "config", tmp_path / "prometheus.yml"],
        [require("amtool"), "check-config", tmp_path / "alertmanager.yml"],
    ]
    for command in commands:
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert 0 == checked.returncode, checked.stdout + checked.stderr

    names = [one["name"] for one in yaml.safe_load((OBSERVABILITY / "alertmanager.yml").read_text())["receivers"]]
    assert [
        {"name": name, "webhook_configs": [{"url": f"http://x/{name}", "send_resolved": True}]} for name in names
    ] == yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["receivers"]


@pytest.mark.parametrize(
    ("arrived", "resolved", "passed"),
    [
        ({"A"}, True, True),
        ({"A", "B"}, True, True),
        (set(), True, False),
        ({"B"}, True, False),
        ({"A", "ServiceNotReady"}, True, False),
        ({"A", "AnAlertOfYours{some}"}, True, True),
        ({"A"}, False, False),
    ],
)
def test_a_fault_passes_with_all_expected_and_only_allowed_alerts(
    arrived: set[str], resolved: bool, passed: bool
) -> None:
    fault = Fault("some", FAULTS[0].inject, frozenset({"A"}), {"B": "for a reason"})

    assert passed == Outcome(fault, frozenset(arrived), 1.0, resolved).passed


def test_the_faults_expect_alerts_that_there_are() -> None:
    named = {name.partition("{")[0] for fault in FAULTS for name in [*fault.expected, *fault.allowed]}

    assert named <= set(alerts())


def test_a_fault_raises_every_alert_but_those_that_are_named() -> None:
    raised = {name.partition("{")[0] for fault in FAULTS for name in fault.expected}

    assert UNTRIED.keys() == alerts().keys() - raised - {WATCHDOG}


def test_a_fault_that_there_is_not_is_said(tmp_path: Path) -> None:
    with started([BIN / "python", "-m", "observability.drill", "flood"], tmp_path, cwd=REPOSITORY) as drill:
        assert 2 == drill.process.wait(DEADLINE)
        assert "unknown fault: flood; expected one of errors, few errors" in drill.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_drill_that_is_ended_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    require("prometheus")
    require("prometheus-alertmanager")
    with started([BIN / "python", "-m", "observability.drill", "errors"], tmp_path, cwd=REPOSITORY) as drill:
        wait_until(lambda: runs_prometheus(drill), "Prometheus")
        family = drill.children()

        assert 128 + number == drill.stop(number)
        wait_until(lambda: not any(process.is_running() for process in family), "the end of all that it has started")
        assert [] == list((tmp_path / "tmp").iterdir())


SIGNALLED = """
import signal, subprocess, sys
from observability.drill.__main__ import main

start = subprocess.Popen.__init__

def start_and_be_told_to_end(self, *arguments, **options):
    start(self, *arguments, **options)
    print(self.pid, flush=True)
    signal.raise_signal(signal.SIGTERM)

subprocess.Popen.__init__ = start_and_be_told_to_end
sys.exit(main())
"""


def test_a_signal_in_the_moment_in_which_a_program_starts_leaves_none_behind(tmp_path: Path) -> None:
    require("prometheus")
    require("prometheus-alertmanager")
    with started(
        [BIN / "python", "-c", SIGNALLED, "errors"], tmp_path, {"PYTHONPATH": str(REPOSITORY)}, cwd=REPOSITORY
    ) as drill:
        assert 128 + signal.SIGTERM == drill.process.wait(DEADLINE)
        (pid,) = re.findall(r"^\d+$", drill.text(), re.MULTILINE)
        assert not psutil.pid_exists(int(pid))
        assert [] == list((tmp_path / "tmp").iterdir())


def runs_prometheus(drill: Server) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
        return any("prometheus.yml" in str(child.cmdline()) for child in drill.children())
    return False


@pytest.mark.timeout(900)
def test_faults_raise_the_alerts_that_they_must_and_no_others(tmp_path: Path) -> None:
    """It uses real programs. A healthy service beside them raises no alert."""
    require("prometheus")
    require("prometheus-alertmanager")
    with started([BIN / "python", "-m", "observability.drill", *SOME], tmp_path, cwd=REPOSITORY) as drill:
        assert 0 == drill.process.wait(800), drill.text()
        expected = sum(len(fault.expected) for fault in FAULTS if fault.name in SOME)
        print(drill.text())  # noqa: T201 - quoted
        assert f"recall {expected}/{expected}, precision {expected}/{expected}" in drill.text()
        assert re.search(r"^healthy meanwhile +- +-", drill.text(), re.MULTILINE)

"""The drill: shortened durations, the rule for passing, and a part of it with real programs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from contextlib import ExitStack
from functools import partial
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
from tests.programs import outcome, require
from tests.repository.observability.files import OBSERVABILITY

SOME = os.environ.get("DRILL", "errors in both,process gone").split(",")
"""The faults of this test; `make drill` injects all of them."""


def test_a_duration_is_divided_but_holds_four_scrapes() -> None:
    durations = ("0s", "1h", "3d", "1h30m", "2m")

    assert ["0ms", "12000ms", "864000ms", "18000ms", "4000ms"] == [scaling.shortened(each) for each in durations]


def test_ranges_subqueries_and_offsets_are_shortened_and_names_and_numbers_are_not() -> None:
    query = 'sum_over_time(a:b:increase1h{x="[1h]"}[1d:5m]) > 5 and rate(c[1h] offset 3h) > 1'
    expected = 'sum_over_time(a:b:increase1h{x="[1h]"}[288000ms:4000ms]) > 5 and rate(c[12000ms] offset 36000ms) > 1'

    assert expected == scaling.expression(query)


def test_no_duration_of_a_rule_is_left_as_it_is() -> None:
    for rule in rules():
        shorter = scaling.expression(rule["expr"])

        promql_parser.parse(shorter)
        assert [] == re.findall(r"(?:\[|:|offset )\d+[smhdwy]\b", shorter), rule.get("alert") or rule["record"]


def test_promtool_accepts_what_is_shortened(tmp_path: Path) -> None:
    addresses = {"target": "127.0.0.1:1", "alertmanager_address": "127.0.0.1:2", "webhook": "http://x"}
    scaling.write(OBSERVABILITY, tmp_path, **addresses, others={"search": "127.0.0.1:3"}, teams=["shop"])
    for command in (
        (require("promtool"), "check", "config", tmp_path / "prometheus.yml"),
        (require("amtool"), "check-config", tmp_path / "alertmanager.yml"),
    ):
        returned, output = outcome(*command)
        assert 0 == returned, output

    names = [one["name"] for one in yaml.safe_load((OBSERVABILITY / "alertmanager.yml").read_text())["receivers"]]
    assert [
        {"name": name, "webhook_configs": [{"url": f"http://x/{name}", "send_resolved": True}]}
        for name in [*names, *(f"shop-{name}" for name in names)]
    ] == yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["receivers"]


def test_a_fault_passes_with_all_expected_and_only_allowed_alerts() -> None:
    fault = Fault("some", FAULTS[0].inject, frozenset({"A"}), {"B": "for a reason"})
    outcomes = [
        ({"A"}, True, True),
        ({"A", "B"}, True, True),
        (set(), True, False),
        ({"B"}, True, False),
        ({"A", "ServiceNotReady"}, True, False),
        ({"A", "AnAlertOfYours{some}"}, True, True),
        ({"A"}, False, False),
    ]
    for arrived, resolved, passed in outcomes:
        assert passed == Outcome(fault, frozenset(arrived), 1.0, resolved).passed, (arrived, resolved)
    assert not Outcome(fault, frozenset({"A"}), 1.0, True, frozenset({"A at search-pager"})).passed


def test_faults_raise_every_alert_but_those_that_are_named() -> None:
    raised = {name.partition("{")[0] for fault in FAULTS for name in fault.expected}
    allowed = {name.partition("{")[0] for fault in FAULTS for name in fault.allowed}

    assert raised | allowed <= alerts().keys()
    assert UNTRIED.keys() == alerts().keys() - raised - {WATCHDOG}


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    with started([BIN / "python", "-m", "observability.drill", "flood"], tmp_path, cwd=REPOSITORY) as drill:
        assert 2 == drill.process.wait(DEADLINE)
        assert "unknown fault: flood; expected one of errors, errors in both, few errors" in drill.text()


def test_a_drill_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    require("prometheus")
    require("prometheus-alertmanager")
    with ExitStack() as stack:
        drills = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            folder = tmp_path / number.name
            folder.mkdir()
            command: list[str | Path] = [BIN / "python", "-m", "observability.drill", "errors"]
            drills[number] = folder, stack.enter_context(started(command, folder, cwd=REPOSITORY))
        for number, (folder, drill) in drills.items():
            wait_until(partial(runs_prometheus, drill), "Prometheus")
            family = drill.children()

            assert 128 + number == drill.stop(number)
            _, left = psutil.wait_procs(family, DEADLINE)
            assert [] == left, number
            assert [] == list((folder / "tmp").iterdir()), number


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


def test_a_signal_at_the_start_of_a_program_leaves_none_behind(tmp_path: Path) -> None:
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
    """It uses real programs. A healthy service of another team beside them raises no alert."""
    require("prometheus")
    require("prometheus-alertmanager")
    with started([BIN / "python", "-m", "observability.drill", *SOME], tmp_path, cwd=REPOSITORY) as drill:
        assert 0 == drill.process.wait(800), drill.text()
        expected = sum(len(fault.expected) for fault in FAULTS if fault.name in SOME)
        print(drill.text())  # noqa: T201 - quoted
        assert f"recall {expected}/{expected}, precision {expected}/{expected}" in drill.text()

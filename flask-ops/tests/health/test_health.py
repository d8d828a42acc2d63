from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from flask_ops.health import Check, Checks, Status
from flask_ops.health.engine import Health, Runner
from flask_ops.health.readiness import combine
from tests.process import PROJECT

SOON = 0.01
"""Seconds between two runs of a check in these tests."""

NEVER = 3600.0
"""More seconds than any test waits."""


def wait_until(condition: Callable[[], bool], deadline: float = 5) -> None:
    """Return as soon as ``condition`` holds; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s"
        time.sleep(0.002)


class Dependency:
    """A dependency that answers, fails or hangs, as the test requires."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self._hangs = False
        self._is_hanging = False
        self._changed = threading.Condition()

    def __call__(self) -> None:
        """Answer, fail or hang."""
        with self._changed:
            self.calls += 1
            while self._hangs:
                self._is_hanging = True
                self._changed.wait()
            self._is_hanging = False
            if self.error is not None:
                raise self.error

    def hang(self) -> None:
        """Block all calls until ``answer`` is called."""
        with self._changed:
            self._hangs = True

    def answer(self) -> None:
        """Answer again, also to callers that wait."""
        with self._changed:
            self._hangs = False
            self._changed.notify_all()

    def wait_for_caller(self) -> None:
        """Wait until a caller waits for the answer."""
        wait_until(lambda: self._is_hanging)

    def wait_for_calls(self, count: int) -> None:
        """Wait for ``count`` more calls."""
        wanted = self.calls + count
        wait_until(lambda: self.calls >= wanted)


@pytest.fixture
def make() -> Iterator[Callable[[], Dependency]]:
    """Make dependencies. After the test they block, and so do the threads of their checks."""
    made: list[Dependency] = []

    def dependency() -> Dependency:
        made.append(Dependency())
        return made[-1]

    yield dependency
    for each in made:
        each.hang()


def status_of(health: Health) -> Status:
    """Return the combined status of the checks."""
    return combine([health.results()]).status


def reaches(health: Health, status: Status) -> None:
    """Wait until the combined status of the checks is ``status``."""
    wait_until(lambda: status_of(health) is status)


def test_a_service_is_starting_until_its_critical_checks_have_answered(make: Callable[[], Dependency]) -> None:
    """A process that does not know yet if it can answer gets no request."""
    first, second = make(), make()
    second.hang()
    health = Health([Check("first", first, timeout=NEVER), Check("second", second, timeout=NEVER)])

    assert Status.STARTING is status_of(health)
    wait_until(lambda: first.calls > 0)
    assert Status.STARTING is status_of(health)
    second.answer()
    reaches(health, Status.OK)


def test_a_critical_check_that_fails_takes_the_service_down_until_it_recovers(make: Callable[[], Dependency]) -> None:
    """Three failures in a row take it down. Two successes bring it up."""
    database = make()
    health = Health([Check("database", database, interval=SOON)])
    reaches(health, Status.OK)

    for error in (OSError("gone"), KeyError("wrong"), AssertionError()):
        database.error = error
        reaches(health, Status.DOWN)
        database.error = None
        reaches(health, Status.OK)


def test_a_check_that_hangs_counts_as_failed_and_is_not_run_again(make: Callable[[], Dependency]) -> None:
    """No probe waits for it. It fails at its deadline, and again at each time of a next run. Its thread still hangs."""
    database, other = make(), make()
    health = Health(
        [
            Check("database", database, timeout=0.05, interval=SOON, failures=5),
            Check("other", other, interval=SOON, critical=False),
        ]
    )
    reaches(health, Status.OK)

    database.hang()
    database.wait_for_caller()
    calls = database.calls
    wait_until(lambda: health.results()[0].reason == "timed out")
    reaches(health, Status.DOWN)
    assert health.results()[0].failures >= 5
    other.wait_for_calls(20)
    assert calls == database.calls

    database.answer()
    reaches(health, Status.OK)


def test_a_check_that_hangs_from_the_start_has_failed_even_if_it_answers_late(make: Callable[[], Dependency]) -> None:
    """A late result is outdated. The next run gives a new one."""
    database, other = make(), make()
    database.hang()
    health = Health([Check("database", database, timeout=0.05, interval=NEVER), Check("other", other, interval=SOON)])
    assert Status.STARTING is status_of(health)
    reaches(health, Status.DOWN)

    database.answer()
    other.wait_for_calls(20)

    assert Status.DOWN is status_of(health)


def test_one_failure_does_not_take_a_check_down(make: Callable[[], Dependency]) -> None:
    """One missed call is no outage. The result says that the call was missed, and why."""
    database = make()
    health = Health([Check("database", database, interval=SOON, failures=1000)])
    reaches(health, Status.OK)

    database.error = OSError("gone")
    wait_until(lambda: health.results()[0].failures > 1)
    (result,) = health.results()
    assert (Status.OK, "OSError") == (result.status, result.reason)

    database.error = None
    wait_until(lambda: health.results()[0].failures == 0)
    assert health.results()[0].reason is None


def test_one_success_does_not_bring_a_check_up(make: Callable[[], Dependency]) -> None:
    """A dependency that answers only now and then must not get requests yet."""
    database = make()
    database.error = OSError("gone")
    health = Health([Check("database", database, interval=SOON, successes=1000)])
    reaches(health, Status.DOWN)

    database.error = None
    database.wait_for_calls(20)

    assert Status.DOWN is status_of(health)


def test_the_first_result_counts_at_once_unless_the_check_passes_elsewhere(make: Callable[[], Dependency]) -> None:
    """There is no better information yet. A worker recycled at a bad moment must not take the whole service down."""
    database = make()
    database.error = OSError("gone")
    check = Check("database", database, interval=NEVER)
    reaches(Health([check]), Status.DOWN)

    health = Health([check], others=lambda _name: Status.OK)
    reaches(health, Status.OK)
    assert "OSError" == health.results()[0].reason


def test_a_check_that_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"timeout": 0},
        {"timeout": math.nan},
        {"interval": -1},
        {"interval": math.inf},
        {"failures": 0},
        {"failures": 1.5},
        {"successes": 0},
        {"name": "database,cache"},
        {"name": ""},
    ):
        fields: dict[str, Any] = {"name": "database", "probe": list, **wrong}
        with pytest.raises(ValueError, match=f"check '{fields['name']}': "):
            Check(**fields)


async def awaited() -> None:
    raise OSError("gone")


def generated() -> Iterator[None]:
    yield
    raise OSError("gone")


async def generated_and_awaited() -> AsyncIterator[None]:
    yield
    raise OSError("gone")


def test_a_check_that_would_run_nothing_is_refused() -> None:
    for probe in (awaited, partial(awaited), generated, generated_and_awaited):
        with pytest.raises(TypeError, match="'database': it must be a plain function"):
            Check("database", probe)

    hidden = Check("database", lambda: awaited())  # noqa: PLW0108 - a lambda hides the coroutine function
    reaches(Health([hidden]), Status.DOWN)


def test_forgotten_parentheses_are_an_error() -> None:
    checks = Checks()

    with pytest.raises(TypeError, match=r"'awaited': write @CHECKS.add\(\), with parentheses"):
        checks.add(awaited)  # type: ignore[arg-type] # what is tried


def test_a_check_that_comes_too_late_is_told() -> None:
    checks = Checks()
    checks.add("early")(list)
    Health(checks)
    with capture_logs() as lines:
        checks.add("late")(list)

    assert [("readiness check added too late", "late")] == [(line["event"], line["check"]) for line in lines]


def test_checks_are_declared_by_a_decorator() -> None:
    """The check takes the function's name, and the function stays unchanged."""
    checks = Checks()

    @checks.add(timeout=2.0, critical=False)
    def database() -> None:
        """Pass."""

    @checks.add("other name")
    def another() -> None:
        """Pass."""

    expected = [Check("database", database, timeout=2.0, critical=False), Check("other name", another)]

    assert expected == list(checks)


def test_a_check_whose_error_has_no_text_is_down_and_run_again(make: Callable[[], Dependency]) -> None:
    """The check's own code raises this error."""

    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    database = make()
    health = Health([Check("database", database, interval=SOON)])
    reaches(health, Status.OK)

    database.error = UnspeakableError()
    reaches(health, Status.DOWN)
    database.error = None
    reaches(health, Status.OK)


def test_a_failure_to_run_a_check_is_one_of_the_check(make: Callable[[], Dependency]) -> None:
    """For example, no descriptor is left to read the results of other workers."""
    database, answers = make(), iter([OSError("no descriptor")])

    def others(_name: str) -> Status:
        for error in answers:
            raise error
        return Status.STARTING

    database.error = OSError("gone")
    health = Health([Check("database", database, interval=SOON)], others)
    reaches(health, Status.DOWN)

    database.error = None
    reaches(health, Status.OK)


def test_each_check_runs_at_its_own_interval_however_often_the_status_is_asked(make: Callable[[], Dependency]) -> None:
    """Cheap checks can run often, expensive checks seldom. Nothing runs before the first question."""
    often, seldom = make(), make()
    before = set(threading.enumerate())
    health = Health([Check("often", often, interval=SOON), Check("seldom", seldom, interval=NEVER)])
    assert (0, set()) == (seldom.calls, set(threading.enumerate()) - before)
    reaches(health, Status.OK)
    often.wait_for_calls(20)

    assert {Status.OK} == {status_of(health) for _ in range(1000)}
    assert 1 == seldom.calls


def test_each_check_has_one_thread_however_many_ask_at_once(make: Callable[[], Dependency]) -> None:
    """The first probes may arrive together. The threads do not keep the process alive."""
    dependencies = [make() for _ in range(3)]
    for dependency in dependencies:
        dependency.hang()
    health = Health([Check(str(number), probe) for number, probe in enumerate(dependencies)])
    barrier = threading.Barrier(8)
    before = set(threading.enumerate())

    def ask() -> None:
        barrier.wait(10)
        for _ in range(10):
            status_of(health)

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    started = set(threading.enumerate()) - before
    expected = len(dependencies)

    assert expected == len(started)
    assert all(thread.daemon for thread in started)


def test_two_checks_of_one_name_are_refused() -> None:
    """The log could not tell them apart."""
    with pytest.raises(ValueError, match="database"):
        Health([Check("database", list), Check("cache", list), Check("database", dict)])


def test_only_news_is_logged() -> None:
    """A dependency that stays away does not fill the log. A line has the check, the reason and the duration."""
    gone = OSError("gone")
    answers = [None, None, gone, None, gone, KeyError("gone"), gone, gone, None, None, None]
    left = iter(answers)

    def probe() -> None:
        error = next(left)
        if error is not None:
            raise error

    check = Runner(Check("database", probe, timeout=60), lambda _name: Status.STARTING)
    with capture_logs() as lines:
        for _ in answers:
            check.run()

    assert [(line["log_level"], line["event"], line["status"], line.get("reason")) for line in lines] == [
        ("debug", "readiness check passed", "ok", None),
        ("warning", "readiness check failed", "ok", "OSError: gone"),
        ("info", "readiness check passed again", "ok", None),
        ("warning", "readiness check failed", "ok", "OSError: gone"),
        ("error", "readiness check is down", "down", "OSError: gone"),
        ("info", "readiness check is up again", "ok", None),
    ]
    assert {"database"} == {line["check"] for line in lines}
    assert all(0 <= line["duration_ms"] < 1000 for line in lines)


def test_an_answer_that_came_too_late_is_logged_as_such() -> None:
    """The line has the duration in milliseconds. The late result itself is ignored."""

    def probe() -> None:
        threading.Event().wait(0.1)
        raise OSError("gone")

    check = Runner(Check("database", probe, timeout=0.01), lambda _name: Status.STARTING)
    with capture_logs() as lines:
        check.run()

    (line,) = lines
    assert ("error", "down", "timed out") == (line["log_level"], line["status"], line["reason"])
    assert 90 < line["duration_ms"] < 60_000


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
@pytest.mark.system
def test_a_forked_worker_runs_its_own_checks() -> None:
    """Threads do not survive a fork. Otherwise, the worker would report its parent's results forever."""
    program = """
import os, time, warnings
from flask_ops.health import Check, Status
from flask_ops.health.engine import Health
from flask_ops.core.settings import Settings
from flask_ops.ops.startup import start

start(Settings, {"SERVICE_LOG_LEVEL": "debug"})
warnings.simplefilter("ignore")  # newer Pythons warn of a fork next to threads
parent = os.getpid()

def probe():
    if os.getpid() != parent:
        raise OSError("gone")

def reaches(status):
    end = time.monotonic() + 30
    while health.results()[0].status is not status:
        assert time.monotonic() < end
        time.sleep(0.01)

health = Health([Check("database", probe, timeout=60, interval=0.01)])
reaches(Status.OK)
child = os.fork()
if child == 0:
    try:
        reaches(Status.DOWN)
    except BaseException:
        os._exit(1)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
reaches(Status.OK)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )

    assert ["ok", "down"] == [json.loads(line)["status"] for line in done.stdout.splitlines()]

"""Late requests are refused, bursts are not: the rule of admission, on a clock of the test's own."""

from __future__ import annotations

import math
from collections import Counter, deque
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from flask_ops.core.settings import Settings, SettingsError
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web import admission
from flask_ops.web.admission import LINES_PER_BEAT, Admission


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(admission, "monotonic", found)
    return found


def _open(clock: Clock, **variables: str) -> Admission:
    found = Admission(Settings.from_environ(variables), Mock(RequestMetrics))
    found.open()
    clock.now += 3600
    return found


def _simulate(found: Admission, clock: Clock, rates: list[tuple[float, float]], threads: int = 8) -> list[Counter[str]]:
    """Send requests at each rate (per second) for some seconds. Each takes a thread for 50 ms.

    Return for each phase how many were answered or refused, and their waits (ms): the longest and the sums.
    """
    free_at = [clock.now] * threads
    results, start = [], clock.now
    waiting: deque[tuple[float, Counter[str]]] = deque()
    for rate, seconds in rates:
        result: Counter[str] = Counter()
        results.append(result)
        waiting += [(start + number / rate, result) for number in range(round(rate * seconds))]
        start += seconds
    while waiting:
        arrived, result = waiting.popleft()
        clock.now = max(arrived, min(free_at))
        queued = round(clock.now - arrived, 3)
        if found.refuses("/", queued):
            _note(result, "refused", queued)
            continue
        _note(result, "answered", queued)
        free_at[free_at.index(min(free_at))] = clock.now + 0.05
    return results


def _note(result: Counter[str], end: str, queued: float) -> None:
    milliseconds = round(queued * 1000)
    result[end] += 1
    result[f"{end} waited"] += milliseconds
    if end == "answered":
        result["longest"] = max(result["longest"], milliseconds)


def _simulate_adaptive_lifo(rate: float, seconds: float, limit: float, threads: int = 8) -> Counter[str]:
    """Send requests as ``_simulate`` does. While a queue stands, serve the newest first; refuse only at the limit."""
    free_at = [0.0] * threads
    arrivals = deque(number / rate for number in range(round(rate * seconds)))
    waiting: deque[float] = deque()
    result: Counter[str] = Counter()
    since = 0.0
    while arrivals or waiting:
        now = min(free_at) if waiting else max(min(free_at), arrivals[0])
        while arrivals and arrivals[0] <= now:
            since = since if waiting else arrivals[0]
            waiting.append(arrivals.popleft())
        while waiting and now - waiting[0] > limit:
            _note(result, "refused", now - waiting.popleft())
        if waiting:
            stands = now - since > limit * admission.STANDING_SHARE
            _note(result, "answered", now - (waiting.pop() if stands else waiting.popleft()))
            free_at[free_at.index(min(free_at))] = now + 0.05
    return result


@pytest.mark.parametrize("times", [2, 5, 10])
def test_adaptive_lifo_answers_as_many_sooner_but_refuses_later(clock: Clock, times: int) -> None:
    """The numbers of the module's docstring."""

    def mean(result: Counter[str], end: str) -> float:
        return result[f"{end} waited"] / result[end] / 1000

    rate = times * 8 / 0.05
    (chosen,) = _simulate(_open(clock), clock, [(rate, 20)])
    lifo = _simulate_adaptive_lifo(rate, 20, limit=1.0)

    assert chosen["answered"] == pytest.approx(lifo["answered"], rel=0.04)
    assert (0.25, 0.03) == pytest.approx((mean(chosen, "answered"), mean(lifo, "answered")), abs=0.01)
    assert (0.28, 1.02) == pytest.approx((mean(chosen, "refused"), mean(lifo, "refused")), abs=0.02)
    assert chosen["longest"] < 800 < lifo["longest"]


@pytest.mark.parametrize("times", [2, 5, 10])
def test_under_overload_all_threads_work_and_nobody_waits_long(clock: Clock, times: int) -> None:
    capacity = 8 / 0.05
    start, overload, after = _simulate(
        _open(clock), clock, [(0.7 * capacity, 5), (times * capacity, 20), (0.7 * capacity, 5)]
    )

    assert start["refused"] == 0
    assert overload["answered"] >= 0.98 * 20 * capacity
    assert overload["longest"] <= 810
    assert after["refused"] == 0
    assert after["longest"] <= 250


def test_the_queue_of_overload_settles_at_a_quarter_of_the_limit(clock: Clock) -> None:
    _, settled = _simulate(_open(clock), clock, [(800, 2), (800, 20)])

    assert settled["longest"] <= 250


def test_a_queue_stands_although_one_request_did_not_wait(clock: Clock) -> None:
    found = _open(clock)
    for queued in (0.1, 0.0, *[0.7] * 20):  # the third came before the first was taken
        found.refuses("/", queued)
        clock.now += 0.05

    assert found.refuses("/", 0.3)


@pytest.mark.parametrize(
    "rates",
    [
        [(480, 0.2)],  # three times the threads' capacity for 200 ms
        [(24 / 0.001, 0.001)] * 5,  # three times the number of threads at once
        [(100, 10), (480, 0.2), (100, 10)],
    ],
)
def test_a_burst_is_not_refused(clock: Clock, rates: list[tuple[float, float]]) -> None:
    assert 0 == sum(result["refused"] for result in _simulate(_open(clock), clock, rates))


def test_one_late_request_after_a_pause_is_no_overload(clock: Clock) -> None:
    found = _open(clock)
    for _ in range(100):
        clock.now += 60
        assert not found.refuses("/", 0.9)
        assert not found.is_overloaded


def test_a_request_that_waited_longer_than_the_limit_is_refused(clock: Clock) -> None:
    found = _open(clock, SERVICE_QUEUE_SECONDS="2.5")

    assert not found.refuses("/", 2.5)
    assert found.refuses("/", 2.501)


def test_nothing_is_refused_if_it_is_turned_off(clock: Clock) -> None:
    found = _open(clock, SERVICE_QUEUE_SECONDS="0")

    assert math.inf == found.limit
    assert 0 == sum(result["refused"] for result in _simulate(found, clock, [(1600, 20)]))


def test_a_start_is_no_overload(clock: Clock) -> None:
    """Clients that waited while no process could serve are answered, but not for longer than the limit."""
    found = Admission(Settings.from_environ({}), Mock(RequestMetrics))
    clock.now += 60
    found.open()

    clock.now += 0.9
    assert not found.refuses("/", 30.0)
    clock.now += 0.2
    assert found.refuses("/", 30.0)


def test_probes_are_never_refused_and_critical_routes_only_at_the_limit(clock: Clock) -> None:
    found = _open(clock, SERVICE_CRITICAL_ROUTES="/pay,/orders/<int:number>/<path:rest>, /a.b")
    found.probes.add("/healthz")
    _simulate(found, clock, [(1600, 2)])
    assert found.is_overloaded

    assert found.refuses("/", 0.5)
    assert not found.refuses("/healthz", 60.0)
    for path in ("/pay", "/orders/7/items/2", "/a.b"):
        assert not found.refuses(path, 0.9)
        assert found.refuses(path, 1.1)
    for path in ("/pay/", "/orders/7", "/orders/7/8/", "/axb", "/x/pay"):
        assert found.refuses(path, 0.9) == (path != "/orders/7/8/")
    assert found.is_overloaded


def test_ten_thousand_refusals_are_counted_and_write_few_lines() -> None:
    metrics = Mock(RequestMetrics)
    found = Admission(Settings.from_environ({}), metrics)

    assert LINES_PER_BEAT == sum(found.refused("/", 1.5) for _ in range(10_000))
    with capture_logs() as lines:
        found.publish()
        found.publish()

    assert 10_000 == metrics.shed.call_count
    assert [("requests refused", 10_000 - LINES_PER_BEAT)] == [(line["event"], line["requests"]) for line in lines]
    assert found.refused("/", 1.5)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", ""),
        ("/pay", "/pay"),
        ("/pay/", ""),
        ("/items/7", "/items/<int:number>"),
        ("/items/new", "/items/<name>"),
        ("/items/all", "/items/all"),
        ("/items/7/8", "/items/<path:rest>"),
    ],
)
def test_a_refused_request_counts_for_the_objective_of_its_path(path: str, route: str) -> None:
    """Flask has not routed it. Only routes with an objective of their own, or with none, are distinguished."""
    metrics = Mock(RequestMetrics)
    routes = ["/items/<path:rest>", "/items/<name>", "/items/<int:number>", "/items/all"]
    variables = {"SERVICE_SLO_ROUTES": ", ".join(f"{route}=99" for route in routes), "SERVICE_SLO_EXCLUDE": "/pay"}
    Admission(Settings.from_environ(variables), metrics).refused(path, 1.5)

    metrics.shed.assert_called_once_with("late", 1.5, route)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SERVICE_QUEUE_SECONDS", "-1", "seconds, from 0 to 3600"),
        ("SERVICE_QUEUE_SECONDS", "1s", "seconds, from 0 to 3600"),
        ("SERVICE_CRITICAL_ROUTES", "pay", "routes with commas between them, for example /admin"),
    ],
)
def test_an_invalid_setting_is_refused(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        Settings.from_environ({variable: value})

"""The ring buffer of the last 15 minutes."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from structlog.testing import capture_logs

from flask_ops.core.settings import Settings
from flask_ops.management.recent import INTERVAL_SECONDS, SECONDS, Recent, quantile
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.metrics.scrape import from_sources
from flask_ops.metrics.sources import Collector
from tests.process import wait_until
from tests.servers import serve


class Clock:
    """The monotonic clock, and the CPU time of the thread. A test moves them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.used = 1000.0, 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now, thread_time=lambda: self.used)
        monkeypatch.setattr("flask_ops.management.recent.time", clock)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_point_has_the_rates_and_quantiles_since_the_point_before(clock: Clock) -> None:
    registry, own = CollectorRegistry(), CollectorRegistry()
    settings = Settings.from_environ({})
    metrics = RequestMetrics(registry, settings)
    Gauge("service_requests_in_flight", "Now.", registry=registry).set(3)
    Counter("flask_http_request", "The application's own.", ["status"], registry=own).labels("500").inc(100)
    collector = Collector(settings, lambda: "waitress", registry.collect, own.collect)
    found = Recent(collector.counts)
    metrics.observe("GET", "/", 200, 9.0, exception=False)

    found.sample()
    assert [] == found.document()["age_seconds"]
    for status, queued in ((200, 0.6), (200, None), (404, 0.0), (503, 0.6)):
        metrics.observe("GET", "/", status, 0.02, exception=False, queued=queued)
    metrics.shed("late", 0.6)
    clock.now += 5
    found.sample()
    clock.now += 2

    document: dict[str, list[Any]] = found.document()
    bounds = document.pop("duration") + document.pop("queue_time")
    shares = {"requests": [1.0], "errors": [0.4], "refused": [0.2], "slow": [round(1 / 3, 4)]}
    assert {"age_seconds": [2.0], **shares, "queue": [None], "busy": [3.0]} == document
    assert 0.01 < bounds[0] <= 0.025 < 0.5 < bounds[1] <= 0.75

    clock.now += 5
    found.sample()
    values = (found.document()[name][-1] for name in ("requests", "slow", "duration", "queue_time"))
    assert (0, None, None, None) == tuple(values)


def test_it_is_bounded_in_number_and_age(clock: Clock) -> None:
    found = Recent(dict)
    for _ in range(1000):
        found.sample()
        clock.now += INTERVAL_SECONDS
    assert SECONDS / INTERVAL_SECONDS == len(found.points) == len(found.document()["requests"])
    size = sys.getsizeof(found.points) + sum(map(sys.getsizeof, found.points)) + 10 * 24 * len(found.points)
    assert size < 100_000
    clock.now += SECONDS
    assert [] == found.document()["requests"]


def test_a_sample_that_takes_long_is_taken_rarely(clock: Clock) -> None:
    def pause(used: float) -> float:
        def counts() -> dict[str, Metric]:
            clock.used += used
            return {}

        return Recent(counts).sample()

    assert [5, 5, 20, 30] == [pytest.approx(pause(used)) for used in (0, 0.02, 0.1, 2)]


def test_lost_counts_make_no_point(clock: Clock) -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    for registry, times in zip(registries, (5, 2), strict=True):
        metrics = RequestMetrics(registry, Settings.from_environ({}))
        for _ in range(times):
            metrics.observe("GET", "/", 200, 0.1, exception=False)
    found = Recent(lambda: from_sources([registries[0].collect]))
    for number in range(4):
        if number == 2:
            registries.reverse()
        found.sample()
        clock.now += 5
    assert [0, 0] == found.document()["requests"]


def test_a_failure_is_logged_once_and_does_not_end_it(clock: Clock) -> None:
    outcomes = iter([OSError(24, "Too many open files")] * 2 + [None] * 2)

    def counts() -> dict[str, Metric]:
        if error := next(outcomes):
            raise error
        return {}

    found = Recent(counts)
    with capture_logs() as logs:
        for _ in range(4):
            assert INTERVAL_SECONDS == found.sample()
            clock.now += 5
    assert 1 == len(found.points)
    assert ["failed to sample metrics"] == [line["event"] for line in logs]


def test_samples_run_no_code_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    own = CollectorRegistry()
    RequestMetrics(own, Settings.from_environ({})).shed("late", 1.0)
    collector = Collector(Settings.from_environ({}), lambda: "waitress", own.collect)
    assert "service_requests_shed" in collector.counts()
    assert {"python_info", "service_requests_shed"} <= set(collector.collect())
    assert "python_info" not in collector.counts()


def test_a_quantile_is_interpolated_and_never_beyond_the_last_bound() -> None:
    buckets = {0.1: 0.0, 0.2: 10.0, 0.4: 20.0, math.inf: 20.0}
    assert [0.2, pytest.approx(0.3)] == [quantile(0.5, buckets), quantile(0.75, buckets)]
    assert 0.4 == quantile(0.99, {**buckets, math.inf: 40.0})
    assert quantile(0.99, {}) is quantile(0.99, dict.fromkeys(buckets, 0.0)) is None


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
@pytest.mark.system
def test_each_server_remembers_without_a_scrape(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path) as server:
        wait_until(lambda: server.get("/items/1").status == 200, "the service answers")

        def last() -> Any:
            server.get("/boom")
            points = server.manage("/status").json()["recent"]
            return {key: values[-1] for key, values in points.items() if values}

        found: Any = wait_until(lambda: last().get("errors") and last(), "a point with an error")
        assert found["requests"] >= found["errors"] > 0 == found["refused"]
        assert found["duration"] > 0
        assert (name != "uwsgi") == (found["queue_time"] is not None)
        assert found["busy"] is not None

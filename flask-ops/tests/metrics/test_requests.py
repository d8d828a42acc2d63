from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from flask_ops.core.settings import Settings
from flask_ops.metrics.requests import DURATION_BUCKETS, METHODS, UNMATCHED, RequestMetrics

TOTAL = "flask_http_request_total"
EXCEPTIONS = "flask_http_request_exceptions_total"
COUNT = "flask_http_request_duration_seconds_count"
SUM = "flask_http_request_duration_seconds_sum"
BUCKET = "flask_http_request_duration_seconds_bucket"


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry for this test alone."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> RequestMetrics:
    """Return the metrics in that registry."""
    return RequestMetrics(registry, Settings.from_environ({}))


def value(registry: CollectorRegistry, name: str, method: str, route: str, status: str, **more: str) -> float | None:
    """Return one sample, or None if there is no such series."""
    return registry.get_sample_value(name, {"method": method, "route": route, "status": status, **more})


def series(registry: CollectorRegistry, name: str) -> set[tuple[str, str, str]]:
    """Return method, route and status of every series with this name."""
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_each_request_is_counted_once_in_its_own_series(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """Method, route and status define the series."""
    expected = {
        ("GET", "/", "200"): 2.0,
        ("HEAD", "/", "200"): 1.0,
        ("GET", "/items/<int:number>", "200"): 1.0,
        ("GET", "/", "500"): 1.0,
    }
    for (method, route, status), times in expected.items():
        for _ in range(int(times)):
            metrics.observe(method, route, int(status), 0.01, exception=False)

    for name in (TOTAL, COUNT):
        assert expected == {labels: value(registry, name, *labels) for labels in series(registry, name)}


def test_an_exception_is_counted_besides_the_request(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """A 500 that the application itself returns is no exception."""
    metrics.observe("GET", "/", 500, 0.01, exception=False)
    metrics.observe("GET", "/", 500, 0.01, exception=True)
    expected = (2, 2, 1)

    assert expected == tuple(value(registry, name, "GET", "/", "500") for name in (TOTAL, COUNT, EXCEPTIONS))


def test_the_first_server_error_brings_the_count_of_exceptions_at_zero(
    registry: CollectorRegistry, metrics: RequestMetrics
) -> None:
    """The first exception is then an increase that a rate can see. Below 500, nearly all would stay at 0."""
    for status, expected in ((500, 0), (503, 0), (200, None), (404, None), (499, None)):
        metrics.observe("GET", "/", status, 0.01, exception=False)
        assert expected == value(registry, EXCEPTIONS, "GET", "/", str(status))


def test_an_exception_below_500_is_counted_under_a_known_method_too(
    registry: CollectorRegistry, metrics: RequestMetrics
) -> None:
    """An adopter's error handler may answer with any status. The client chooses the method."""
    for method, label in (("GET", "GET"), ("BREW", "OTHER")):
        for count in (1, 2):
            metrics.observe(method, "/", 200, 0.01, exception=True)
            assert count == value(registry, EXCEPTIONS, label, "/", "200")


def test_a_known_method_is_its_own_label(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """These are the methods of RFC 9110, and PATCH."""
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
    for method in methods:
        metrics.observe(method, "/", 200, 0.01, exception=False)

    assert {(method, "/", "200") for method in methods} == series(registry, TOTAL)
    assert methods == METHODS


def test_methods_that_a_client_made_up_share_one_label(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """Otherwise, a client could create any number of series. Methods are case-sensitive, as in HTTP."""
    for method in ("BREW", "get", "GET ", "", "OTHER", "\N{SNOWMAN}"):
        metrics.observe(method, UNMATCHED, 405, 0.01, exception=False)
    expected = {("OTHER", UNMATCHED, "405"): 6.0}

    assert expected == {labels: value(registry, TOTAL, *labels) for labels in series(registry, TOTAL)}


def test_a_duration_falls_into_the_buckets_that_hold_it(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """Each bucket holds the durations up to its bound in seconds, including the bound."""
    for bound in DURATION_BUCKETS:
        metrics.observe("GET", f"/{bound}", 200, bound, exception=False)
        expected = {str(float(each)): float(bound <= each) for each in DURATION_BUCKETS} | {"+Inf": 1.0}

        assert expected == {le: value(registry, BUCKET, "GET", f"/{bound}", "200", le=le) for le in expected}


def test_durations_add_up_in_seconds(registry: CollectorRegistry, metrics: RequestMetrics) -> None:
    """The mean is sum divided by count. A duration above the last bound is only in +Inf."""
    metrics.observe("GET", "/", 200, 0.5, exception=False)
    metrics.observe("GET", "/", 200, 60.25, exception=False)
    expected = (60.75, 2.0, 1.0)

    assert expected == (
        value(registry, SUM, "GET", "/", "200"),
        value(registry, BUCKET, "GET", "/", "200", le="+Inf"),
        value(registry, BUCKET, "GET", "/", "200", le="10.0"),
    )


def test_buckets_are_those_of_opentelemetry_and_the_objective() -> None:
    """They are those of http.server.request.duration, and 0.3 for the latency objective."""
    expected = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.3, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

    assert expected == DURATION_BUCKETS


@pytest.mark.system
def test_threads_that_meet_in_a_new_series_lose_no_request(
    registry: CollectorRegistry, metrics: RequestMetrics
) -> None:
    """All threads count into the same series, from the first request on."""
    routes = [f"/{number}" for number in range(50)]
    barrier = threading.Barrier(8)

    def observe() -> None:
        for route in routes:
            barrier.wait(30)
            metrics.observe("GET", route, 200, 0.01, exception=True)

    threads = [threading.Thread(target=observe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = {(name, route): 8.0 for name in (TOTAL, COUNT, EXCEPTIONS) for route in routes}

    assert expected == {(name, route): value(registry, name, "GET", route, "200") for name, route in expected}


@pytest.mark.system
def test_the_exporters_decorators_measure_a_view_and_nothing_else() -> None:
    """They register with the process, need no further step, and affect neither requests nor `/metrics`.

    The test runs in its own process, because these registrations are permanent.
    """
    program = """
from flask import Flask
from prometheus_client import REGISTRY
from flask_ops.metrics.requests import exporter

app = Flask("sample")
names = {metric.name for metric in REGISTRY.collect()}

@app.get("/")
@exporter.counter("greetings", "Greetings given.")
@exporter.histogram("greeting_seconds", "How long a greeting takes.")
def greet():
    return "hello"

client = app.test_client()
print([client.get("/").status_code for _ in range(3)], client.get("/metrics").status_code)
print(sorted({metric.name for metric in REGISTRY.collect()} - names))
print(REGISTRY.get_sample_value("greetings_total"), REGISTRY.get_sample_value("greeting_seconds_count"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={name: text for name, text in os.environ.items() if not name.startswith("PROMETHEUS_")},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = ["[200, 200, 200] 404", "['greeting_seconds', 'greetings']", "3.0 3.0"]

    assert expected == done.stdout.splitlines()

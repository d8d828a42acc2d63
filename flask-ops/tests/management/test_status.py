"""``/status`` and a scrape report the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from flask_ops.core.settings import Settings
from flask_ops.management import status
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.metrics.scrape import from_sources
from tests.exposition import value
from tests.process import wait_until
from tests.servers import PROCESSES, serve


def document(registry: CollectorRegistry, fault: str | None = None) -> Any:
    metrics = from_sources([registry.collect]).values()
    return status.document(
        Settings.from_environ({}), metrics, server="gunicorn", fault=fault, readiness={"status": "ok"}
    )


def test_requests_are_summed_up_by_route_over_methods_and_statuses() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry, Settings.from_environ({}))
    for method, code, seconds in (("GET", 200, 0.02), ("POST", 201, 0.02), ("GET", 404, 0.2), ("GET", 503, 20)):
        metrics.observe(method, "/items", code, seconds, exception=False)
    metrics.observe("GET", "/", 200, 0.001, exception=False)

    routes = document(registry)["routes"]

    assert {"/", "/items"} == set(routes)
    items = routes["/items"]
    assert {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1} == items["requests"]
    assert 1 == items["errors"]
    duration = items["duration_seconds"]
    assert pytest.approx(20.24) == duration["sum"]
    assert 4 == duration["count"]
    assert (0, 2, 2, 3, 3, 4) == tuple(
        duration["buckets"][le] for le in ("0.01", "0.025", "0.1", "0.25", "10.0", "+Inf")
    )


def test_metrics_of_the_applications_own_exporter_are_left_out() -> None:
    registry, own = CollectorRegistry(), CollectorRegistry()
    RequestMetrics(registry, Settings.from_environ({})).observe("GET", "/items", 200, 0.02, exception=False)
    Counter("flask_http_request", "Total.", ["method", "status"], registry=own).labels("GET", "200").inc()
    Histogram("flask_http_request_duration_seconds", "Time.", ["path"], registry=own).labels("/items").observe(1)
    metrics = from_sources([registry.collect])
    for name, other in from_sources([own.collect]).items():
        metrics[name].samples += other.samples  # as in the sums over all processes

    found = status.document(
        Settings.from_environ({}), metrics.values(), server="gunicorn", fault=None, readiness={"status": "ok"}
    )

    assert {"/items"} == set(found["routes"])


def test_what_cannot_be_told_is_null() -> None:
    found = document(CollectorRegistry(), fault="no worker is alive")

    assert "no worker is alive" == found["fault"]
    assert found["service"]["started"] is found["service"]["uptime_seconds"] is found["workers"]["threads"] is None
    assert {} == found["routes"] == found["workers"]["exits"] == found["rejected"]


def test_a_status_outside_of_the_five_classes_is_counted_too() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry, Settings.from_environ({})).observe("GET", "/odd", 799, 0.1, exception=False)

    assert 1 == document(registry)["routes"]["/odd"]["requests"]["7xx"]


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
@pytest.mark.system
def test_it_says_what_a_scrape_and_the_probes_say(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path) as server:
        for path, times in (("/items/1", 5), ("/boom", 3), ("/nowhere", 2)):
            for _ in range(times):
                server.get(path)

        def scrape() -> str:
            return server.manage("/metrics").body.decode()

        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        wait_until(lambda: value(scrape(), "service_worker_threads") == 4 * PROCESSES[name], "every worker")
        wait_until(lambda: value(scrape(), "flask_http_request_total", route="unmatched") == 2, "the observations")
        found, scraped = server.manage("/status").json(), scrape()

        total, duration = "flask_http_request_total", "flask_http_request_duration_seconds"
        for route, said in found["routes"].items():
            assert value(scraped, total, route=route) == sum(said["requests"].values())
            assert value(scraped, f"{duration}_count", route=route) == said["duration_seconds"]["count"]
            assert value(scraped, f"{duration}_sum", route=route) == pytest.approx(said["duration_seconds"]["sum"])
            for le, count in said["duration_seconds"]["buckets"].items():
                assert value(scraped, f"{duration}_bucket", route=route, le=le) == count
        assert [5, 3, 2] == [
            sum(found["routes"][route]["requests"].values()) for route in ("/items/<int:number>", "/boom", "unmatched")
        ]
        assert 3 == found["routes"]["/boom"]["errors"]
        assert value(scraped, "service_worker_threads") == found["workers"]["threads"] > 0
        assert value(scraped, "service_workers") == found["workers"]["alive"]
        assert {"ok", "storage"} <= {found["readiness"]["status"], *found["readiness"]["checks"]}
        assert server.manage("/info").json()["server"] == found["service"]["server"]
        assert found["service"]["uptime_seconds"] > 0
        assert (None, False) == (found["fault"], found["draining"])
        assert {"level": "debug", "overridden": {}, "lines_dropped": 0} == found["log"]
        assert (name == "gunicorn") == bool(found["rejected"])

        server.manage("/drain", "POST")
        server.request("PUT", "/loglevel", body=b'{"level": "error"}', port=server.management_port)
        changed = server.manage("/status").json()
        assert (True, "draining") == (changed["draining"], changed["readiness"]["status"])
        assert ("error", {"root": {"level": "error", "until": None}}) == (
            changed["log"]["level"],
            changed["log"]["overridden"],
        )

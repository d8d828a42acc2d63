"""Values of panels and annotations for invented series, computed by promtool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.observability.dashboards import ALL, DASHBOARDS, annotation_queries, filled, overview, panels, targets
from tests.observability.promtool import promtool

SERVICE = DASHBOARDS["service"]


def assert_values(expected: dict[str, float], query: str, at: str, series: dict[str, str], directory: Path) -> None:
    """Compare a query's values by their labels, with the values of ``series`` scraped every 15 seconds."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": at, "exp_samples": samples}],
    }
    path = directory / "values.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "30s", "tests": [test]}))
    returned, output = promtool("test", "rules", path)
    assert 0 == returned, output


def test_an_instance_that_is_down_or_without_a_worker_counts_as_not_ready(tmp_path: Path) -> None:
    (query,) = (query for title, query in targets(SERVICE) if title == "Instances ready")
    cases: list[tuple[float, dict[str, str], dict[str, str]]] = [
        # the share of ready instances; `up` by instance; `service_ready` by instance
        (0.25, {"a": "1", "b": "0", "c": "1", "d": "1"}, {"a": "1", "d": "0"}),
        (0, {"a": "0", "b": "1"}, {}),
        (1, {"a": "1", "b": "1"}, {"a": "1", "b": "1"}),
    ]
    for share, up, ready in cases:
        series = {
            f'{name}{{job="service",instance="{instance}"}}': f"{value}x40"
            for name, values in (("up", up), ("service_ready", ready))
            for instance, value in values.items()
        }

        assert_values({"{}": share}, filled(query, ALL), "5m", series, tmp_path)


def test_no_legend_adds_up_overlapping_points() -> None:
    """With points every 15 s, ``$__rate_interval`` is a minute, so one event is in four points."""
    counting: list[dict[str, Any]] = [
        panel for panel in panels(SERVICE) if any("increase(" in target["expr"] for target in panel["targets"])
    ]

    assert {"Stuck requests", "Worker exits", "Draining and failed reloads", "Damaged metrics files"} == {
        panel["title"] for panel in counting
    }
    for panel in counting:
        assert "sum" not in panel["options"]["legend"]["calcs"], panel["title"]
        assert "ach point covers the last minute or more" in panel["description"], panel["title"]


def test_each_start_is_an_annotation(tmp_path: Path) -> None:
    """Grafana reads the values as times in milliseconds, and equal values as the same event."""
    (annotation,) = (one for one in SERVICE["annotations"]["list"] if one["name"] == "Restarts")
    query = filled(annotation_queries(SERVICE)["Restarts"], ALL)
    labels = '{job="service",instance="a"}'
    series = {f"process_start_time_seconds{labels}": "1000.5x20 stale _x40 1930.25x40"}

    assert annotation["useValueForTime"]
    assert_values({labels: 1000500}, query, "3m", series, tmp_path)
    assert_values({}, query, "10m", series, tmp_path)
    assert_values({labels: 1930250}, query, "20m", series, tmp_path)


def test_overload_shows_as_what_the_clients_get(tmp_path: Path) -> None:
    """Of 20 requests per second, 8 are refused, and 6 of the others are slow because they wait for a second.

    Each request that is served takes 50 ms. Another environment of the job is not overloaded.
    """
    series = {}
    for environment, refused, slow in (("production", 8, 6), ("staging", 0, 0)):
        labels = f'job="service",env="{environment}",instance="a"'
        served = 20 - refused
        for slo, bad, events in (("availability", refused, 20), ("latency", slow, served)):
            series[f'service_slo_bad_events_total{{{labels},slo="{slo}"}}'] = f"0+{bad * 15}x40"
            series[f'service_slo_events_total{{{labels},slo="{slo}"}}'] = f"0+{events * 15}x40"
        series[f'service_requests_shed_total{{{labels},reason="late"}}'] = f"0+{refused * 15}x40"
        series[f'flask_http_request_total{{{labels},route="/",status="200"}}'] = f"0+{served * 15}x40"
        for le, waited in (("0.05", served - slow), ("1", 20), ("+Inf", 20)):
            series[f'service_request_queue_seconds_bucket{{{labels},le="{le}"}}'] = f"0+{waited * 15}x40"
            series[f'flask_http_request_duration_seconds_bucket{{{labels},route="/",le="{le}"}}'] = (
                f"0+{served * 15}x40"
            )
    production, staging = (f'{{job="service",env="{name}"}}' for name in ("production", "staging"))
    table: dict[str, dict[str, float]] = {
        "Requests": {production: 20, staging: 20},
        "Errors": {production: 0.4, staging: 0},
        "Slow": {production: 0.5, staging: 0},
    }
    for column, expected in table.items():
        assert_values(expected, f"round({filled(overview()[column], ALL)}, 1e-4)", "8m", series, tmp_path)

    page: dict[str, dict[str, float]] = {
        "Errors": {"{}": 0.4},
        "Slow requests": {"{}": 0.5},
        "Requests by route": {'{route="/"}': 12, "{}": 8},
        "Time in the queue": {'{instance="a"}': 0.9864},
        "Service time by route, without the queue": {'{route="/"}': 0.0495},
    }
    for title, expected in page.items():
        queries = [filled(query, {**ALL, "env": "production"}) for name, query in targets(SERVICE) if name == title]
        found = " or ".join(f"({query})" for query in queries)
        assert_values(expected, f"round({found}, 1e-4)", "8m", series, tmp_path)


def test_no_column_of_the_overview_leaves_out_what_clients_get() -> None:
    """The histogram of durations has no time in a queue, and the completed requests are without the refused ones."""
    assert [] == [title for title, query in overview().items() if "flask_http_request" in query]

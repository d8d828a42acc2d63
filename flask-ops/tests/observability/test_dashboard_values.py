"""Values of panels and annotations for invented series, computed by promtool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.observability.dashboards import DASHBOARDS, annotation_queries, filled, panels, targets
from tests.observability.promtool import promtool

SERVICE = DASHBOARDS["service"]
ALL = {**dict.fromkeys(("job", "instance", "route"), ".+"), "namespace": ".*"}


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

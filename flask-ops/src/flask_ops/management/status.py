"""The state of the service as one small JSON document. It has the sources of a scrape, so both agree."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from flask_ops.core.settings import Settings
from flask_ops.management import levels

PATH = "/status"


def document(
    settings: Settings, metrics: Iterable[Metric], *, server: str, fault: str | None, readiness: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the document. Values that are unknown on this platform or server are None.

    ``fault`` is the reason why the service is not alive. ``readiness`` is the body of ``/readyz``.
    """
    samples = _Samples(metrics)
    started = samples.total("process_start_time_seconds")
    return {
        "service": {
            "name": settings.name,
            "version": settings.version,
            "mode": settings.mode,
            "server": server,
            "started": None if started is None else levels.rfc3339(started, "seconds"),
            "uptime_seconds": None if started is None else round(time.time() - started, 1),
        },
        "fault": fault,
        "draining": bool(samples.total("service_draining")),
        "readiness": readiness,
        "workers": {
            "alive": samples.count("service_workers"),
            "threads": samples.count("service_worker_threads"),
            "in_flight": samples.count("service_requests_in_flight"),
            "stuck": samples.count("service_requests_stuck"),
            "timed_out": samples.count("service_requests_timed_out_total"),
            "reload_failures": samples.count("service_reload_failures_total"),
            "queue": {
                "length": samples.count("service_accept_queue_length"),
                "limit": samples.count("service_accept_queue_limit"),
            },
            "exits": samples.by_reason("service_worker_exits_total"),
        },
        "routes": _routes(samples),
        "rejected": samples.by_reason("service_requests_rejected_total"),
        "refused": samples.by_reason("service_requests_shed_total"),
        "log": {
            "level": levels.root_level(),
            "overridden": levels.overridden(),
            "lines_dropped": samples.count("service_log_lines_dropped_total"),
        },
    }


class _Samples:
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._by_name: dict[str, list[Sample]] = defaultdict(list)
        for metric in metrics:
            for sample in metric.samples:
                self._by_name[sample.name].append(sample)

    def by_route(self, name: str) -> list[Sample]:
        """Return the samples of this library. An application's own exporter uses the same names, with paths."""
        return [sample for sample in self._by_name[name] if "route" in sample.labels]

    def total(self, name: str) -> float | None:
        found = self._by_name[name]
        return sum(sample.value for sample in found) if found else None

    def count(self, name: str) -> int | None:
        found = self.total(name)
        return None if found is None else int(found)

    def by_reason(self, name: str) -> dict[str, int]:
        found: Counter[str] = Counter()
        for sample in self._by_name[name]:
            found[sample.labels["reason"]] += int(sample.value)
        return found


def _routes(samples: _Samples) -> dict[str, Any]:
    routes: dict[str, Any] = defaultdict(
        lambda: {
            "requests": Counter(dict.fromkeys(["1xx", "2xx", "3xx", "4xx", "5xx"], 0)),
            "errors": 0,
            "duration_seconds": {"buckets": Counter(), "sum": 0.0, "count": 0},
        }
    )
    for sample in samples.by_route("flask_http_request_total"):
        routes[sample.labels["route"]]["requests"][f"{sample.labels['status'][0]}xx"] += int(sample.value)
    duration = "flask_http_request_duration_seconds"
    for sample in samples.by_route(f"{duration}_bucket"):
        routes[sample.labels["route"]]["duration_seconds"]["buckets"][sample.labels["le"]] += int(sample.value)
    for sample in samples.by_route(f"{duration}_sum"):
        routes[sample.labels["route"]]["duration_seconds"]["sum"] += sample.value
    for sample in samples.by_route(f"{duration}_count"):
        routes[sample.labels["route"]]["duration_seconds"]["count"] += int(sample.value)
    for route in routes.values():
        route["errors"] = route["requests"]["5xx"]
    return routes

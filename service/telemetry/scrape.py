"""What a scrape answers: everything that is measured, in the format that the scraper takes."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PATH = "/metrics"


def render(
    sources: Iterable[Collector], *, accept: str = "", accept_encoding: str = "", names: Sequence[str] = ()
) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the body of a scrape and its headers.

    ``accept`` and ``accept_encoding`` are the request's headers of these names. With ``names``, only
    metrics and samples that are called so.
    """
    begin = time.perf_counter()
    metrics = collect(sources)
    seconds = time.perf_counter() - begin
    duration = GaugeMetricFamily("service_scrape_duration_seconds", "Time this scrape took to collect.", value=seconds)
    metrics.setdefault(duration.name, duration)
    registry = CollectorRegistry()
    registry.register(_Collected(_restricted(metrics.values(), names) if names else list(metrics.values())))
    encode, content_type = choose_encoder(accept)
    body = encode(registry)
    headers = [("Content-Type", content_type), ("Cache-Control", "no-store"), ("Vary", "Accept, Accept-Encoding")]
    if gzip_accepted(accept_encoding):
        body = gzip.compress(body, compresslevel=1)
        headers.append(("Content-Encoding", "gzip"))
    return body, headers


def collect(sources: Iterable[Collector]) -> dict[str, Metric]:
    """Return what is measured, by name. Where two sources have a metric of the same name, the first one's is taken."""
    metrics: dict[str, Metric] = {}
    for source in sources:
        for metric in source.collect():
            metrics.setdefault(metric.name, metric)
    return metrics


def _restricted(metrics: Iterable[Metric], names: Sequence[str]) -> list[Metric]:
    kept = []
    for metric in metrics:
        samples = [sample for sample in metric.samples if metric.name in names or sample.name in names]
        if samples:
            metric.samples = samples
            kept.append(metric)
    return kept


class _Collected(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics

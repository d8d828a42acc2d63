"""The response to a scrape: all metrics, in a format that the client accepts."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from werkzeug.http import parse_accept_header

PATH = "/metrics"
Collect = Callable[[], dict[str, Metric]]
"""Returns the current metrics, by name."""


def render(
    collect: Collect, *, accept: str = "", accept_encoding: str = "", names: Sequence[str] = ()
) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the body and the headers of the response to a scrape.

    ``accept`` and ``accept_encoding`` are headers of the request. If there are ``names``, the body has only metrics and
    samples with these names.
    """
    begin = time.perf_counter()
    metrics = collect()
    seconds = time.perf_counter() - begin
    duration = GaugeMetricFamily("service_scrape_duration_seconds", "Time this scrape took to collect.", value=seconds)
    metrics.setdefault(duration.name, duration)
    encode, content_type = _encoder(accept)
    body = encode(_Collected(_restricted(metrics.values(), names) if names else list(metrics.values())))
    headers = [("Content-Type", content_type), ("Cache-Control", "no-store"), ("Vary", "Accept, Accept-Encoding")]
    if parse_accept_header(accept_encoding).quality("gzip") > 0:
        body = gzip.compress(body, compresslevel=1)
        headers.append(("Content-Encoding", "gzip"))
    return body, headers


def from_sources(sources: Iterable[Callable[[], Iterable[Metric]]]) -> dict[str, Metric]:
    """Return the metrics of all sources by name. If two have the same name, the first one counts."""
    metrics: dict[str, Metric] = {}
    for source in sources:
        for metric in source():
            metrics.setdefault(metric.name, metric)
    return metrics


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Return the encoder and the content type of a format that the client accepts."""
    # choose_encoder() takes the first format of a header, even with quality 0, and fails on a quoted version.
    accepted = ",".join(item for item, quality in parse_accept_header(accept) if quality > 0)
    try:
        return choose_encoder(accepted)
    except (TypeError, ValueError):  # a version that is no number
        return choose_encoder("")


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

"""The response to a scrape: all metrics, in a format that the client accepts."""

from __future__ import annotations

import copy
import gzip
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from werkzeug.http import parse_accept_header, parse_options_header

from flask_ops.metrics.families import Collected, Encode, FamilyMetric

PATH = "/metrics"
Collect = Callable[[], dict[str, Metric]]
"""Returns the current metrics, by name."""

_VERSIONS = frozenset({"0.0.1", "0.0.4", "1.0.0"})
"""Versions of the two text formats. Without this list, each client could ask for a form of its own."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a scrape that a client accepts. The body has only metrics and samples with ``names``, if any."""

    content_type: str
    is_compressed: bool
    names: frozenset[str]
    encode: Encode = field(compare=False)

    @classmethod
    def accepted(cls, accept: str = "", accept_encoding: str = "", names: Iterable[str] = ()) -> Form:
        """Return the form for two headers of a request. Without ``names``, the number of forms is small."""
        encode, content_type = _encoder(accept)
        is_compressed = parse_accept_header(accept_encoding).quality("gzip") > 0
        return cls(content_type, is_compressed, frozenset(names), encode)


class Scrape:
    """The metrics of one moment, in any form. They are collected when they are first needed."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self.has_begun = False
        """True if the moment has passed."""

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name."""
        self.has_begun = True
        begin = time.perf_counter()
        metrics = self._collect()
        seconds = time.perf_counter() - begin
        duration = GaugeMetricFamily("service_scrape_duration_seconds", "Time this scrape took to collect.", seconds)
        metrics.setdefault(duration.name, duration)
        return metrics

    def render(self, form: Form) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the body and the headers of the response."""
        metrics = self.metrics.values()
        body = form.encode(Collected(_restricted(metrics, form.names))) if form.names else _body(metrics, form)
        headers = [("Content-Type", form.content_type), ("Cache-Control", "no-store")]
        headers.append(("Vary", "Accept, Accept-Encoding"))
        if form.is_compressed:
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


def _encoder(accept: str) -> tuple[Encode, str]:
    """Return the encoder and the content type of a format that the client accepts."""
    # choose_encoder() takes the first format of a header, even with quality 0, and repeats any version.
    accepted = [item for item, quality in parse_accept_header(accept) if quality > 0]
    return choose_encoder(",".join(item for item in accepted if _version(item) in _VERSIONS))


def _version(item: str) -> str:
    return parse_options_header(item)[1].get("version", "1.0.0")


def _body(metrics: Iterable[Metric], form: Form) -> bytes:
    others, texts = [], []
    for metric in metrics:
        if isinstance(metric, FamilyMetric):
            texts.append(metric.family.text(metric.values, form.encode, form.content_type))
        else:
            others.append(metric)
    return "".join(texts).encode() + form.encode(Collected(others))  # the last one ends the response


def _restricted(metrics: Iterable[Metric], names: Collection[str]) -> list[Metric]:
    kept = []
    for metric in metrics:
        samples = [sample for sample in metric.samples if metric.name in names or sample.name in names]
        if samples:
            part = copy.copy(metric)
            part.samples = samples
            kept.append(part)
    return kept

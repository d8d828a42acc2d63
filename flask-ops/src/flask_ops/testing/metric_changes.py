"""The change of metrics since the start of a test."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import Metric

from flask_ops.metrics import scrape

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
    "info": ("_info",),
}
"""The endings of a metric's samples, by its type."""


class MetricChanges:
    """Tells how much a sample of the scrape has changed: ``metrics("orders_total", kind="book")``.

    It covers the library's metrics and prometheus_client's global registry.
    """

    def __init__(self, collect: scrape.Collect) -> None:
        self._collect = collect
        self._before = {metric.name: metric for metric in self._collect().values()}

    def __call__(self, name: str, /, **labels: object) -> float:
        """Return the value now minus the value at the start of the test; a sample that did not exist counts as 0.

        ``name`` is the name in the scrape: of a counter with ``_total``, of a histogram with ``_count``, ``_sum`` or
        ``_bucket``. Samples that have these labels and others are summed. Raises LookupError for a name or a label
        that does not exist.
        """
        __tracebackhide__ = True
        wanted = {label: str(value) for label, value in labels.items()}
        metrics = list(self._collect().values())
        metric = _metric_of(name, metrics)
        _expect_labels(name, wanted, metric)
        return _total(metric, name, wanted) - _total(self._before.get(metric.name), name, wanted)


def _metric_of(name: str, metrics: Sequence[Metric]) -> Metric:
    """Return the metric that has samples called ``name``, now or with its first label values."""
    owners = {sample: metric for metric in metrics for sample in _sample_names(metric)}
    if name in owners:
        return owners[name]
    names = sorted(known for known in owners if not known.endswith("_created"))  # times, which no test asks for
    alike = [known for known in names if known.startswith(f"{name}_")] or difflib.get_close_matches(name, names)
    hint = f"Did you mean {' or '.join(alike)}?" if alike else f"It has {', '.join(names)}."
    raise LookupError(f"The scrape has no sample called {name!r}. {hint}")


def _sample_names(metric: Metric) -> set[str]:
    endings = _SUFFIXES.get(metric.type, ("",))
    return {sample.name for sample in metric.samples} | {metric.name + ending for ending in endings}


def _expect_labels(name: str, labels: Iterable[str], metric: Metric) -> None:
    samples = [sample for sample in metric.samples if sample.name == name]
    known = {label for sample in samples for label in sample.labels}
    unknown = [label for label in labels if label not in known]
    if samples and unknown:  # without samples, the labels are unknown
        hint = f"Its labels are {', '.join(sorted(known))}." if known else "It has no labels."
        raise LookupError(f"{name} has no label {unknown[0]!r}. {hint}")


def _total(metric: Metric | None, name: str, labels: dict[str, str]) -> float:
    samples = [] if metric is None else metric.samples
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())

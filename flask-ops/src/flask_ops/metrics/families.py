"""The counters, histograms and summaries of all processes. What later scrapes need again is made once.

A series is written into a response as a text, which is always the same, and a value. Without this module, each scrape
would make the text and an object of each series again, and take ten times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Any, TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Labels = tuple[tuple[str, str], ...]
Encode = Callable[[Collector], bytes]
Group = TypeVar("Group")
GroupOf = Callable[[str, Labels], Group | None]
"""Returns the group of a sample, None if it does not count."""
Key = tuple[str, str, Labels, str]
"""The key of a stored value: the names of metric and sample, the labels, and the help."""

_text_of = lru_cache(maxsize=4096)(floatToGoString)
"""The text of a value. Most values are small whole numbers."""


class Family:
    """The series of one metric. Call ``complete`` after the last ``place``."""

    def __init__(self, kind: str, name: str, documentation: str) -> None:
        self.kind, self.name, self.documentation = kind, name, documentation
        self.series: list[tuple[str, Labels]] = []
        """Name and labels of each sample."""
        self._places: dict[Labels, dict[str | float, int]] = {}
        self._plan: list[tuple[list[int], list[int]]] = []
        self._lines: dict[str, tuple[str, list[str], str]] = {}
        self._groups: dict[GroupOf[Any], Mapping[Any, list[int]]] = {}

    def place(self, key: Key, new: int) -> int:
        """Return the place of a stored value among all sums. It is ``new`` if the family has none for it yet."""
        _, name, labels, _ = key
        if self.kind == "histogram":
            bound = next((float(value) for label, value in labels if label == "le"), None)
            if bound is not None:
                labels = tuple(pair for pair in labels if pair[0] != "le")
                return self._places.setdefault(labels, {}).setdefault(bound, new)
        return self._places.setdefault(labels, {}).setdefault(name, new)

    def complete(self, previous: Family | None) -> None:
        """Prepare the samples. If ``previous`` has the same ones, take over its texts."""
        for labels, places in self._places.items():
            plain = {name: place for name, place in places.items() if isinstance(name, str)}
            buckets = sorted((bound, place) for bound, place in places.items() if isinstance(bound, float))
            self._plan.append(([*plain.values()], [place for _, place in buckets]))
            self.series += [(name, labels) for name in plain]
            if buckets:
                name = f"{self.name}_bucket"
                self.series += [(name, (*labels, ("le", floatToGoString(bound)))) for bound, _ in buckets]
                self.series.append((f"{self.name}_count", labels))
        if previous is not None and previous.series == self.series and previous.documentation == self.documentation:
            self._lines, self._groups = previous._lines, previous._groups

    def values(self, sums: Sequence[float]) -> list[float]:
        """Return the value of each sample. A bucket includes those below it."""
        values: list[float] = []
        for plain, buckets in self._plan:
            values += [sums[place] for place in plain]
            if buckets:
                values += accumulate([sums[place] for place in buckets])
                values.append(values[-1])
        return values

    def groups(self, group_of: GroupOf[Group]) -> Mapping[Group, list[int]]:
        """Return the numbers of the samples in each group. They are looked for at the first call only."""
        if group_of not in self._groups:
            groups: defaultdict[Group, list[int]] = defaultdict(list)
            for number, (name, labels) in enumerate(self.series):
                group = group_of(name, labels)
                if group is not None:
                    groups[group].append(number)
            self._groups[group_of] = groups
        return self._groups[group_of]

    def text(self, values: Iterable[float], encode: Encode, content_type: str) -> str:
        """Return the part of a response with these values, as ``encode`` would write it."""
        if content_type not in self._lines:
            self._lines[content_type] = self._split(encode)
        head, starts, tail = self._lines[content_type]
        return head + "\n".join(map(add, starts, map(_text_of, values))) + tail

    def _split(self, encode: Encode) -> tuple[str, list[str], str]:
        zeros = Metric(self.name, self.documentation, self.kind)
        zeros.samples = [Sample(name, dict(labels), 0.0) for name, labels in self.series]
        lines = encode(Collected([zeros])).decode().split("\n")
        first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        last = first + len(self.series)
        starts = [line.removesuffix(_text_of(0.0)) for line in lines[first:last]]
        tail = "\n".join(["", *(line for line in lines[last:] if line != "# EOF")])
        return "".join(f"{line}\n" for line in lines[:first]), starts, tail


class FamilyMetric(Metric):
    """A metric whose samples are made only if something other than a scrape reads them."""

    def __init__(self, family: Family, values: list[float]) -> None:
        self.family, self.values = family, values
        self._samples: list[Sample] = []
        super().__init__(family.name, family.documentation, family.kind)

    @property
    def samples(self) -> list[Sample]:
        """The samples, with their labels as dictionaries."""
        if not self._samples:
            series = zip(self.family.series, self.values, strict=True)
            self._samples = [Sample(name, dict(labels), value) for (name, labels), value in series]
        return self._samples

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        self._samples = samples


def sums_of(metric: Metric | None, group_of: GroupOf[Group]) -> dict[Group, float]:
    """Return the sum of the samples in each group. ``group_of`` must always return the same for the same sample."""
    if isinstance(metric, FamilyMetric):
        value = metric.values.__getitem__
        return {group: sum(map(value, numbers)) for group, numbers in metric.family.groups(group_of).items()}
    sums: defaultdict[Group, float] = defaultdict(float)
    for sample in metric.samples if metric is not None else ():
        group = group_of(sample.name, tuple(sample.labels.items()))
        if group is not None:
            sums[group] += sample.value
    return sums


class Collected(Collector):
    """Metrics in the form that an encoder expects."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics

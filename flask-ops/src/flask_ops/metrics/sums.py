"""The sums over all files of the store."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from flask_ops.metrics import misuses, slots, store_files
from flask_ops.metrics.families import Family, FamilyMetric, Key
from flask_ops.metrics.layout import Layout
from flask_ops.metrics.store_reader import entries, parse_key, read, read_by, stuck


class Sums:
    """The sums over all processes that share the store in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collecting = threading.Lock()
        self._layouts: dict[Path, Layout] = {}
        self._keys: dict[bytes, tuple[bytes, Key]] = {}
        """Each key of a file, its one copy for all files, and its meaning."""
        self._families: dict[str, Family] = {}
        self._count = 0

    def collect(self) -> list[Metric]:
        """Return the sums, and the number of damaged files. Raises OSError if this process has no descriptor left."""
        with self._collecting, slots.locked(self._directory / store_files.FOLDING, shared=True):
            paths = store_files.metrics_in(self._directory)
            metrics = self._counts([path for path in paths if not path.name.startswith("gauge_")])
            gauges = _gauges(path for path in paths if path.name.startswith("gauge_"))
        # prometheus_client combines the values of several processes: the way depends on the mode.
        metrics += MultiProcessCollector._accumulate_metrics(gauges, accumulate=True)
        errors = len(store_files.set_aside_in(self._directory)) + len(stuck)
        text = "Files of the metrics store that could not be read."
        return [*metrics, CounterMetricFamily("service_metrics_store_errors", text, value=errors)]

    def _counts(self, paths: Iterable[Path]) -> list[Metric]:
        read: dict[Path, tuple[Layout, tuple[float, ...]]] = {}
        for path in paths:
            found = read_by(path, partial(self._values, self._layouts.get(path)))
            if found is not None:
                read[path] = found
        layouts = {path: layout for path, (layout, _) in read.items()}
        if layouts != self._layouts:
            self._arrange(layouts)
        sums = [0.0] * self._count
        for layout, values in read.values():
            layout.add(values, sums)
        return [FamilyMetric(family, family.values(sums)) for family in self._families.values()]

    def _values(self, layout: Layout | None, data: bytes) -> tuple[Layout, tuple[float, ...]]:
        """Return the layout of a file, which is ``layout`` if that is still correct, and its values."""
        values = layout.values(data) if layout is not None else None
        if layout is not None and values is not None:
            return layout, values
        keys = []
        for start, end, _ in entries(data):
            raw = data[start:end]
            if raw not in self._keys:
                self._keys[raw] = raw, parse_key(raw[4:])
            keys.append(self._keys[raw][0])
        new = Layout(keys)
        return new, new.values(data) or ()

    def _arrange(self, layouts: dict[Path, Layout]) -> None:
        """Give each value of these files its place in the sums."""
        families: dict[str, Family] = {}
        left_out: dict[str, Family] = {}
        self._count = 0
        used = {raw for layout in layouts.values() for raw in layout.keys}
        self._keys = {raw: known for raw, known in self._keys.items() if raw in used}
        for path, layout in layouts.items():
            places = []
            for raw in layout.keys:
                _, key = self._keys[raw]
                group = left_out if misuses.counts_twice(key) else families
                family = group.get(key[0])
                if family is None:
                    family = group[key[0]] = Family(path.name.partition("_")[0], key[0], key[3])
                place = family.place(key, self._count)
                self._count = max(self._count, place + 1)
                places.append(place)
            layout.places = places
        for name, family in families.items():
            family.complete(self._families.get(name))
        self._layouts, self._families = layouts, families


def _gauges(paths: Iterable[Path]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for path in paths:
        kind, mode, owner = path.stem.split("_")
        if not owner.startswith(slots.PREFIX):
            continue  # a child process starts with all gauges at 0; only its counts are valid
        for key, value, timestamp in read(path):
            if not misuses.is_exported(timestamp):
                continue
            metric_name, name, labels, help_text = parse_key(key)
            metric = metrics.setdefault(metric_name, Metric(metric_name, help_text, kind))
            metric._multiprocess_mode = mode  # type: ignore[attr-defined] # as prometheus_client sets it
            with_owner: Any = (*labels, ("pid", owner.removeprefix(slots.PREFIX)))
            metric.add_sample(name, with_owner, value, timestamp)
    return metrics


def total(directory: Path, name: str, owners: Collection[str] | None = None) -> float:
    """Return the sum of all samples called ``name``, of all owners or only of ``owners``."""
    found = 0.0
    for path in store_files.metrics_in(directory):
        if owners is None or store_files.owner_of(path) in owners:
            found += sum(value for key, value, _ in read(path) if parse_key(key)[1] == name)
    return found

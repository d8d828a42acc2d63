"""The sums over all files of the store. Files that cannot be read are set aside, so that the scrape succeeds.

prometheus_client's own reader raises for an empty, truncated or damaged file, at every scrape from then on. It can also
loop for ever on a damaged file.

The format is prometheus_client's ``mmap_dict``. The header is the number of used bytes (int32, padded to 8). Each entry
is a length (int32), a key in JSON, padding, a value and a timestamp (doubles). The padding aligns the doubles to 8.
"""

from __future__ import annotations

import errno
import json
import struct
import time
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from flask_ops.metrics import slots, store_files

_integer = struct.Struct("i").unpack_from
_two_doubles = struct.Struct("dd").unpack_from
_HEADER = 8
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_NEW_SECONDS = 5
"""A new file is empty for a moment. An older empty file was left by a killed process."""

Labels = tuple[tuple[str, str], ...]

_stuck: set[Path] = set()
"""Damaged files that could not be set aside. Each is logged and counted once."""
_log = structlog.stdlib.get_logger(__name__)


def collect(directory: Path) -> Iterable[Metric]:
    """Yield the sums over all processes that share the store, and the number of damaged files."""
    with slots.locked(directory / store_files.FOLDING, shared=True):
        metrics = list(_read_all(directory))
    yield from metrics
    yield CounterMetricFamily(
        "service_metrics_store_errors",
        "Files of the metrics store that could not be read.",
        value=len(store_files.set_aside_in(directory)) + len(_stuck),
    )


def _read_all(directory: Path) -> Iterator[Metric]:
    gauges: dict[str, Metric] = {}
    counts: defaultdict[str, dict[bytes, float]] = defaultdict(dict)
    for path in store_files.metrics_in(directory):
        kind, _, rest = path.stem.partition("_")
        mode, _, owner = rest.rpartition("_")
        if kind != "gauge":
            sums = counts[kind]
            for key, value, _ in read(path, sums):
                sums[key] = sums.get(key, 0.0) + value
        elif owner.startswith(slots.SERVING):  # a child process starts with all gauges at 0; only its counts are valid
            for key, value, timestamp in read(path):
                metric_name, name, labels, help_text = _parse(key)
                metric = gauges.setdefault(metric_name, Metric(metric_name, help_text, kind))
                metric._multiprocess_mode = mode  # type: ignore[attr-defined] # as prometheus_client sets it
                with_owner: Any = (*labels, ("pid", owner.removeprefix(slots.SERVING)))
                metric.add_sample(name, with_owner, value, timestamp)
    # prometheus_client combines the values of several processes: the way depends on the mode.
    yield from MultiProcessCollector._accumulate_metrics(gauges, accumulate=True)
    for kind, sums in counts.items():
        yield from _families(kind, sums)


def _families(kind: str, sums: Mapping[bytes, float]) -> Iterator[Metric]:
    """Yield the metrics of one type. prometheus_client's own code takes five times as long for thousands of series."""
    metrics: dict[str, Metric] = {}
    series: defaultdict[str, defaultdict[tuple[str, Labels], float]] = defaultdict(lambda: defaultdict(float))
    for key, value in sums.items():
        metric_name, name, labels, help_text = _parse(key)
        if metric_name not in metrics:
            metrics[metric_name] = Metric(metric_name, help_text, kind)
        series[metric_name][name, labels] += value
    for metric_name, metric in metrics.items():
        values = series[metric_name]
        for (name, labels), value in (_cumulative(metric_name, values) if kind == "histogram" else values).items():
            metric.add_sample(name, dict(labels), value)
        yield metric


def _cumulative(metric_name: str, values: Mapping[tuple[str, Labels], float]) -> dict[tuple[str, Labels], float]:
    """Return the series of a histogram as Prometheus defines them: each bucket includes those below it."""
    buckets: defaultdict[Labels, list[tuple[float, Labels, float]]] = defaultdict(list)
    others = {}
    for (name, labels), value in values.items():
        bound = next((text for label, text in labels if label == "le"), None)
        if bound is None:
            others[name, labels] = value
        else:
            buckets[tuple(pair for pair in labels if pair[0] != "le")].append((float(bound), labels, value))
    found = {}
    for common, bounded in buckets.items():
        count = 0.0
        for _, labels, value in sorted(bounded):
            count += value
            found[f"{metric_name}_bucket", labels] = count
        found[f"{metric_name}_count", common] = count
    return {**found, **others}


def total(directory: Path, name: str, owners: Collection[str] | None = None) -> float:
    """Return the sum of all samples called ``name``, of all owners or only of ``owners``."""
    found = 0.0
    for path in store_files.metrics_in(directory):
        if owners is None or store_files.owner_of(path) in owners:
            found += sum(value for key, value, _ in read(path) if _parse(key)[1] == name)
    return found


def read(path: Path, known: Container[bytes] = ()) -> list[tuple[bytes, float, float]]:
    """Return key, value and timestamp of each entry; none for a file that is new, gone or damaged. Set aside the last.

    Keys that are ``known`` are not checked again. Raises OSError if this process has no descriptor or memory left. Then
    the file is not at fault.
    """
    try:
        data = path.read_bytes()
        if data[:_HEADER].strip(b"\0"):
            return list(_entries(data, known))
        if len(data) < _HEADER and time.time() - path.stat().st_mtime >= _NEW_SECONDS:
            raise ValueError("the file is empty")
    except FileNotFoundError:  # live gauges of a worker that has just ended
        pass
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            raise  # without this file the sums would be wrong
        _set_aside(path, error)
    return []


def _entries(data: bytes, known: Container[bytes]) -> Iterator[tuple[bytes, float, float]]:
    if len(data) < _HEADER:
        raise ValueError("the file ends in its header")
    used = _integer(data, 0)[0]
    if not _HEADER <= used <= len(data):
        raise ValueError(f"{used} bytes are said to be used of {len(data)}")
    position = _HEADER
    while position < used:
        length = _integer(data, position)[0]
        end = position + 4 + length + 8 - (length + 4) % 8
        if length <= 0 or end + 16 > used:
            raise ValueError(f"an entry of {length} bytes at {position}")
        value, timestamp = _two_doubles(data, end)
        key = data[position + 4 : position + 4 + length]
        if key not in known:
            _parse(key)  # raises ValueError for a damaged key
        yield key, value, timestamp
        position = end + 16


@lru_cache(maxsize=100_000)
def _parse(key: bytes) -> tuple[str, str, Labels, str]:
    try:
        metric_name, name, labels, help_text = json.loads(key)
        return str(metric_name), str(name), tuple(sorted(labels.items())), str(help_text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError("a key is not the JSON it should be") from error


def _set_aside(path: Path, error: Exception) -> None:
    try:
        path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
    except FileNotFoundError:  # a concurrent scrape has set it aside and logged it
        return
    except OSError as reason:
        if path not in _stuck:
            _stuck.add(path)
            _log.error("failed to set aside damaged metrics file", file=path.name, reason=str(reason))
        return
    _log.error("damaged metrics file set aside", file=path.name, reason=str(error))

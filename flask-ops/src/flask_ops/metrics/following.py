"""Counters that follow numbers which something else counts, from the start of the process on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter

from flask_ops.core import multiprocess
from flask_ops.log import sink

Publish = Callable[[], None]


def counters(registry: CollectorRegistry) -> list[Publish]:
    """Return what brings each of these counters up to date."""
    followers = [dropped_lines(registry)]
    if multiprocess.is_shared():  # in a single process, prometheus_client's own collector has them
        followers += _collections(registry)
    return followers


def dropped_lines(registry: CollectorRegistry | None) -> Publish:
    """Return what brings the counter of dropped log lines up to date; without a registry, in the shared store only."""
    counter = Counter("service_log_lines_dropped", "Log lines that could not be written.", registry=registry)
    return follow(counter, sink.dropped)


def follow(counter: Counter, current: Callable[[], float]) -> Publish:
    """Return what has ``counter`` follow a number that only grows, but starts anew with each process."""
    published = 0.0

    def publish() -> None:
        nonlocal published
        now = current()
        counter.inc(now - published)
        published = now

    return publish


def _collections(registry: CollectorRegistry) -> list[Publish]:
    names = {
        "collections": ("python_gc_collections", "Garbage collections."),
        "collected": ("python_gc_objects_collected", "Objects that garbage collections have freed."),
        "uncollectable": ("python_gc_objects_uncollectable", "Objects that garbage collections could not free."),
    }
    followers = []
    for key, (name, text) in names.items():
        counter = Counter(name, text, ["generation"], registry=registry)
        followers += [follow(counter.labels(str(number)), partial(_statistic, number, key)) for number in range(3)]
    return followers


def _statistic(generation: int, key: str) -> float:
    return float(gc.get_stats()[generation][key])

"""Counters that follow numbers which other code counts from the start of the process.

Without them, a scrape shows no dropped log lines, and no garbage collections if several processes serve.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter

from flask_ops.core import multiprocess
from flask_ops.log import sink

Publish = Callable[[], None]


def counters(registry: CollectorRegistry) -> list[Publish]:
    """Create the counters; return one update function for each."""
    followers = [dropped_lines(registry)]
    if multiprocess.is_shared():  # prometheus_client's own collector has them in a single process
        followers += _collections(registry)
    return followers


def dropped_lines(registry: CollectorRegistry | None) -> Publish:
    """Create the counter of dropped log lines; return its update function.

    Without a registry, it counts in the shared store only.
    """
    counter = Counter("service_log_lines_dropped", "Log lines that could not be written.", registry=registry)
    return follow(counter, sink.dropped)


def follow(counter: Counter, current: Callable[[], float]) -> Publish:
    """Return a function that adds the growth of ``current()`` to ``counter``.

    ``current()`` never decreases, and starts at 0 in each process.
    """
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

"""The sources of a scrape's metrics: the same in a worker, in the master, and in a single process."""

from __future__ import annotations

import gc
import platform
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN
from flask_ops.core.settings import Settings
from flask_ops.log import sink
from flask_ops.metrics import misuses, scrape, slo, slots, sums
from flask_ops.metrics.processes import ProcessMetrics
from flask_ops.metrics.store import MASTER, STORE, WORKER

Source = Callable[[], Iterable[Metric]]
Publish = Callable[[], None]

_COLLECTIONS = {
    "collections": ("python_gc_collections", "Garbage collections."),
    "collected": ("python_gc_objects_collected", "Objects that garbage collections have freed."),
    "uncollectable": ("python_gc_objects_uncollectable", "Objects that garbage collections could not free."),
}
"""Metrics by the names of ``gc.get_stats()``."""

_listeners: list[socket.socket] = []


class Collector:
    """Collects metrics, with ``more`` sources. ``server`` returns the name of the server that runs this process."""

    def __init__(self, settings: Settings, server: Callable[[], str], *more: Source) -> None:
        self._objectives = slo.Objectives(settings)
        registered: list[Source] = []
        if multiprocess.is_shared():
            signed = partial(slots.signed, multiprocess.directory())
            masters = partial(signed, MASTER)
            processes = ProcessMetrics(STORE.main_process, serving=partial(signed, WORKER), masters=masters)
            more = (sums.Sums(multiprocess.directory()).collect, *more)
        else:
            processes = ProcessMetrics(STORE.main_process)
            registered = [misuses.registered]
        self._counts: list[Source] = [_accept_queue, *more]
        self._all: list[Source] = [
            partial(_build_info, settings, server),
            partial(slo.describe, settings, self._objectives),
            _draining,
            processes.collect,
            *self._counts,
            *registered,
        ]

    def collect(self) -> dict[str, Metric]:
        """Return the metrics of a scrape, by name."""
        return self._from(self._all)

    def counts(self) -> dict[str, Metric]:
        """Return what all processes have counted and the accept queue. This runs no code of the application."""
        return self._from(self._counts)

    def _from(self, sources: Iterable[Source]) -> dict[str, Metric]:
        metrics = scrape.from_sources(sources)
        slo.add_events(metrics, self._objectives)
        return metrics


def counters(registry: CollectorRegistry) -> list[Publish]:
    """Create the counters that follow numbers of this process; return one update function for each.

    Without them, a scrape shows no dropped log lines, and no garbage collections if several processes serve.
    """
    followers = [dropped_lines(registry)]
    if multiprocess.is_shared():  # prometheus_client's own collector has them in a single process
        for key, (name, text) in _COLLECTIONS.items():
            counter = Counter(name, text, ["generation"], registry=registry)
            followers += [_follow(counter.labels(str(number)), partial(_statistic, number, key)) for number in range(3)]
    return followers


def dropped_lines(registry: CollectorRegistry | None) -> Publish:
    """Create the counter of dropped log lines; return its update function.

    Without a registry, it counts in the shared store only.
    """
    counter = Counter("service_log_lines_dropped", "Log lines that could not be written.", registry=registry)
    return _follow(counter, sink.dropped)


def _follow(counter: Counter, current: Callable[[], float]) -> Publish:
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


def _statistic(generation: int, key: str) -> float:
    return float(gc.get_stats()[generation][key])


def _build_info(settings: Settings, server: Callable[[], str]) -> Iterable[Metric]:
    labels = {
        "version": settings.version,
        "python": platform.python_version(),
        "mode": str(settings.mode),
        "server": server(),
    }
    family = GaugeMetricFamily("service_build_info", "What runs; always 1.", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    yield family


def _draining() -> Iterable[Metric]:
    yield GaugeMetricFamily("service_draining", "1 while the service drains.", value=int(bool(DRAIN)))


def watch(listeners: Iterable[socket.socket]) -> None:
    """Measure the accept queues of only these listening sockets from now on.

    Without them, no metric shows connections that no worker has accepted: a worker cannot see them.
    """
    # Keep the socket itself: Gunicorn's wrapper sets `sock` to None when another thread closes it.
    _listeners[:] = [getattr(listener, "sock", listener) for listener in listeners]


def _accept_queue() -> Iterable[Metric]:
    queues = [queue for queue in map(_queue, _listeners) if queue is not None]
    if queues:
        length, limit = map(sum, zip(*queues, strict=True))
        text = "Connections that wait in the kernel for a worker to accept them."
        yield GaugeMetricFamily("service_accept_queue_length", text, length)
        text = "Connections that may wait in the kernel; further ones are refused."
        yield GaugeMetricFamily("service_accept_queue_limit", text, limit)


def _queue(listener: socket.socket) -> tuple[int, int] | None:
    """Return the length and limit of the queue of one socket, None if they are unknown.

    For a listening socket, they are in ``tcpi_unacked`` and ``tcpi_sacked`` (net/ipv4/tcp.c, ``tcp_get_info``).
    """
    if sys.platform != "linux" or listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    except OSError:  # closed
        return None
    length, limit = struct.unpack_from("II", info, 24)
    return length, limit

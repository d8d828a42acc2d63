"""The sources of a scrape's metrics: the same in a worker, in the master, and in a single process."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN
from flask_ops.core.settings import Settings
from flask_ops.metrics import slots, store, store_folder
from flask_ops.metrics.listening import AcceptQueue
from flask_ops.metrics.process_metrics import ProcessMetrics
from flask_ops.metrics.store_reader import StoreCollector


def sources(settings: Settings, server: Callable[[], str]) -> list[Collector]:
    """Return the collectors of a scrape, except those of one application.

    ``server`` returns the name of the server that runs this process.
    """
    everywhere: list[Collector] = [BuildInfo(settings, server), Draining(), AcceptQueue()]
    if multiprocess.is_shared():
        signed = partial(slots.signed, multiprocess.directory())
        processes = ProcessMetrics(
            store_folder.main_process, serving=partial(signed, store.WORKER), masters=partial(signed, store.MASTER)
        )
        return [*everywhere, processes, StoreCollector(multiprocess.directory())]
    return [*everywhere, ProcessMetrics(store_folder.main_process), REGISTRY]


class BuildInfo(Collector):
    """Collector of the versions of this process."""

    def __init__(self, settings: Settings, server: Callable[[], str]) -> None:
        self._server = server
        self._labels = {
            "version": settings.version,
            "python": platform.python_version(),
            "mode": str(settings.mode),
        }

    def collect(self) -> Iterable[Metric]:
        """Yield one sample of value 1."""
        labels = {**self._labels, "server": self._server()}
        family = GaugeMetricFamily("service_build_info", "What runs; always 1.", labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        yield family


class Draining(Collector):
    """Collector of the drain state of the service."""

    def collect(self) -> Iterable[Metric]:
        """Yield one sample, 0 or 1."""
        yield GaugeMetricFamily("service_draining", "1 while the service drains.", value=int(bool(DRAIN)))

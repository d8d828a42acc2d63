"""Where the metrics of a scrape come from: the same in a worker, in the master, and in a single process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
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


def sources(settings: Settings) -> list[Collector]:
    """Return what a scrape collects, apart from the metrics of one application."""
    everywhere: list[Collector] = [BuildInfo(settings), Draining(), AcceptQueue()]
    if multiprocess.is_shared():
        signed = partial(slots.signed, multiprocess.directory())
        processes = ProcessMetrics(
            store_folder.main_process, serving=partial(signed, store.WORKER), masters=partial(signed, store.MASTER)
        )
        return [*everywhere, processes, StoreCollector(multiprocess.directory())]
    return [*everywhere, ProcessMetrics(store_folder.main_process), REGISTRY]


class BuildInfo(Collector):
    """Which version of what runs."""

    def __init__(self, settings: Settings) -> None:
        self._labels = {
            "version": settings.version,
            "python": platform.python_version(),
            "mode": str(settings.mode),
            "server": server_name(),
        }

    def collect(self) -> Iterable[Metric]:
        """Yield one sample of value 1."""
        family = GaugeMetricFamily("service_build_info", "What runs; always 1.", labels=list(self._labels))
        family.add_metric(list(self._labels.values()), 1)
        yield family


class Draining(Collector):
    """Whether the service asks its clients to go elsewhere."""

    def collect(self) -> Iterable[Metric]:
        """Yield one sample, 0 or 1."""
        yield GaugeMetricFamily("service_draining", "1 while the service drains.", value=int(bool(DRAIN)))


def server_name() -> str:
    """Return which server runs in this process."""
    for module, name in (("uwsgi", "uwsgi"), ("gunicorn.arbiter", "gunicorn"), ("waitress", "waitress")):
        if module in sys.modules:
            return name
    return "werkzeug"

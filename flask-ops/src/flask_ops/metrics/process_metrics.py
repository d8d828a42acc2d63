"""Collector of the server's processes.

Its metrics have the names of prometheus_client's own collector, which sees one process only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flask_ops.metrics.processes import figures


class ProcessMetrics(Collector):
    """Collector of ``figures()``. It omits unknown values.

    Every scrape calls these functions:

    - ``main`` returns the pid of the master, or of the only process.
    - ``serving`` returns the pids of the workers. None means all children of ``main``.
    - ``masters`` returns the pids of the masters.
    """

    def __init__(
        self,
        main: Callable[[], int],
        *,
        serving: Callable[[], Collection[int] | None] = lambda: None,
        masters: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self._main, self._serving, self._masters = main, serving, masters

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that a registration does not read ``/proc``."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield a metric for each known value."""
        now = figures(self._main(), serving=self._serving(), masters=self._masters())
        if now is None:
            return
        if now.cpu_seconds is not None:
            yield CounterMetricFamily(
                "process_cpu_seconds",
                "User and system CPU time of the server's processes, those that have ended included.",
                now.cpu_seconds,
            )
        for name, text, value in (
            (
                "process_resident_memory_bytes",
                "Memory resident in RAM; pages that processes share count in each.",
                now.resident_bytes,
            ),
            ("process_virtual_memory_bytes", "Address space of the server's processes.", now.virtual_bytes),
            ("process_start_time_seconds", "Unix time at which the main process started.", now.started),
            ("process_open_fds", "Open file descriptors of the server's processes.", now.open_descriptors),
            ("process_max_fds", "Open file descriptors allowed, summed over the processes.", now.descriptor_limit),
            ("process_threads", "Threads of the server's processes.", now.threads),
            ("service_workers", "Living worker processes.", now.workers),
            (
                "service_worker_memory_max_bytes",
                "Resident memory of the largest worker process.",
                now.largest_worker_bytes,
            ),
            (
                "service_process_open_fds_max_ratio",
                "Open file descriptors by limit, where that is largest.",
                now.descriptor_share,
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value)

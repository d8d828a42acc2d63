"""One measurement of a server under full load for some seconds."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark import process_tree, wrk
from benchmark.server import FailedError, Server

CONNECTIONS = 32
"""Number of open connections. There are more connections than threads, as behind a proxy."""
WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Window:
    """One measurement. CPU covers all server processes, in microseconds per request. Times are in milliseconds."""

    cpu_us: float
    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    largest_share: float
    """Share of the busiest worker in the CPU time of all workers. Near 1, it held most of the connections."""


def warm_up(server: Server, connections: int = CONNECTIONS) -> int:
    """Load a server until its lazy initialisation is done. Return the number of requests."""
    return wrk.run(server.url(), WARM_UP_SECONDS, connections).requests


def measure(server: Server, seconds: int, connections: int = CONNECTIONS) -> Window:
    """Load a server and measure it. Raise FailedError if it completes no request."""
    before = process_tree.cpu_seconds(server.process.pid)
    load = wrk.run(server.url(), seconds, connections)
    after = process_tree.cpu_seconds(server.process.pid)
    if not load.requests:
        raise FailedError(f"{server.subject.name} completed no request within {seconds} s")
    spent = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
    workers = [spent[pid] for pid in spent if pid != server.process.pid]
    return Window(
        cpu_us=sum(spent.values()) / load.requests * 1e6,
        requests=load.requests,
        requests_per_second=load.requests / load.seconds,
        p50_ms=load.p50 * 1e3,
        p99_ms=load.p99 * 1e3,
        failed=load.failed,
        largest_share=max(workers) / sum(workers) if sum(workers) else 1.0,
    )

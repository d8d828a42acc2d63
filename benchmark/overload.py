"""Load above capacity: how many clients are answered in time, and what happens when the load drops."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from benchmark import open_loop, proxy
from benchmark.markdown import table
from benchmark.open_loop import PATIENCE_SECONDS, Phase, Sent
from benchmark.plan import Plan
from benchmark.server import Server, serving
from benchmark.summary import percentile

Row = dict[str, Any]
"""One phase of load.

``times`` is its load as a multiple of the ``capacity``, which like ``in_time`` is a number per second. ``recovered`` is
the share of answered requests among those that were sent after the first two seconds. ``probe_p99_ms`` is None if the
subject has no port for probes.
"""

SUBJECTS = ("bare", "service", "granian", "uwsgi")
VIEWS = {"sleeps 50 ms": "/slow?seconds=0.05", "computes 20 ms": "/compute?seconds=0.02"}
PROXIES = ("", *proxy.COMMANDS)
TIMES = (0.7, 1.0, 2.0, 5.0, 10.0, 0.7)
"""The load of each phase, as multiples of the capacity."""
PROBE_SECONDS = 0.1


def measure(plan: Plan) -> Iterator[Row]:
    """Yield a row for each phase of each view, with and without proxies. Each of them has a new server."""
    for view, path in VIEWS.items():
        for via in PROXIES:
            for subject in plan.subjects:
                if subject.name in SUBJECTS:
                    with serving(subject) as server, proxy.in_front_of(server.deployment.port, via) as port:
                        row = {"subject": subject.name, "title": subject.title, "view": view, "via": via}
                        for phase in _phases(server, port, path, plan.seconds):
                            yield {**row, **phase}
                        server.stop(patience=0.0)


def _phases(server: Server, port: int, path: str, seconds: int) -> Iterator[Row]:
    capacity = _capacity(server, path, seconds)
    probes = _Probes(server)
    with probes:
        phases = open_loop.run(port, path, [Phase(times * capacity, seconds) for times in TIMES])
    for times, sent in zip(TIMES, phases, strict=True):
        yield {"times": times, "capacity": capacity, **_figures(sent, seconds), "probe_p99_ms": probes.p99_ms}


def _capacity(server: Server, path: str, seconds: int) -> float:
    """Return the requests per second of as many clients as the server has threads."""
    clients = server.deployment.workers * server.deployment.threads
    end = time.perf_counter() + seconds

    def ask(_: int) -> int:
        count = 0
        while time.perf_counter() < end:
            server.get(path)
            count += 1
        return count

    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(ask, range(clients))) / seconds


def _figures(sent: Sequence[Sent], seconds: int) -> Row:
    statuses = Counter(request.status for request in sent)
    answered = [request.seconds for request in sent if request.status == 200]
    later = [request.status == 200 for request in sent if request.at > PATIENCE_SECONDS]
    return {
        "sent": len(sent),
        "answered": len(answered),
        "refused": statuses[503],
        "in_time": len(answered) / seconds,
        "p99_ms": percentile(answered, 99) * 1e3 if answered else None,
        "recovered": sum(later) / len(later) if later else None,
    }


class _Probes:
    """Requests a probe of the server ten times a second during the block."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._path = server.subject.probes[0] if server.subject.probes_aside else ""
        self._milliseconds: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def p99_ms(self) -> float | None:
        return percentile(self._milliseconds, 99) if self._milliseconds else None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while self._path and not self._over.wait(PROBE_SECONDS):
            begin = time.perf_counter()
            try:
                self._server.get(self._path, aside=True, timeout=PATIENCE_SECONDS)
            except (OSError, HTTPException):
                self._milliseconds.append(PATIENCE_SECONDS * 1e3)
            else:
                self._milliseconds.append((time.perf_counter() - begin) * 1e3)


def report(rows: Sequence[Row]) -> str:
    """Return a table for each view and proxy."""
    text = ""
    for view, via in dict.fromkeys((row["view"], row["via"]) for row in rows):
        mine = [row for row in rows if (row["view"], row["via"]) == (view, via)]
        text += f"### A view that {view}, {f'through {via}' if via else 'directly'}\n\n{_table(mine)}\n"
    return text


def _table(rows: Sequence[Row]) -> str:
    head = ("", "load", "answered in time", "p99, ms", "refused", "2 s after the change", "probe p99, ms")
    return table(
        head,
        [
            (
                row["title"],
                f"{row['times']:g}",
                f"{row['in_time'] / row['capacity']:.0%} of capacity",
                "" if row["p99_ms"] is None else f"{row['p99_ms']:.0f}",
                f"{row['refused'] / row['sent']:.0%}" if row["sent"] else "",
                "" if row["recovered"] is None else f"{row['recovered']:.0%}",
                "" if row["probe_p99_ms"] is None else f"{row['probe_p99_ms']:.0f}",
            )
            for row in rows
        ],
    )

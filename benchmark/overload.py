"""Load above capacity: how many clients are answered in time, and what happens when the load drops."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, product
from math import inf
from typing import Any

from benchmark import cpus, open_loop, process_tree, proxy
from benchmark.markdown import table
from benchmark.open_loop import PATIENCE_SECONDS, Phase, Sent
from benchmark.plan import Plan
from benchmark.probes import Probes
from benchmark.server import Server, serving
from benchmark.summary import percentile

Row = dict[str, Any]
"""One phase of load.

``times`` is its load as a multiple of the ``capacity``, which like ``in_time`` is a number per second. ``recovered`` is
the share of answered requests among those that were sent after the first two seconds. ``cpu_seconds`` are the user and
system time of all processes of the server. ``probe_p99_ms`` is of the probes
that began in the phase, and ``idle_probe_p99_ms`` of those without load, before the first phase. Both are None if the
subject has no port for probes.
"""

SUBJECTS = ("bare", "service", "granian", "uwsgi")
VIEWS = {"sleeps 50 ms": "/slow?seconds=0.05", "computes 20 ms": "/compute?seconds=0.02"}
PROXIES = ("", *proxy.COMMANDS)
TIMES = (0.7, 1.0, 2.0, 5.0, 10.0, 0.7)
"""The load of each phase, as multiples of the capacity."""


def measure(plan: Plan) -> Iterator[Row]:
    """Yield a row for each phase of each view, with and without proxies. Each of them has a new server.

    The server has half of the CPUs. Clients, proxy and probes share the others.
    """
    for_server, for_load = cpus.halves()
    subjects = [subject for subject in plan.subjects if subject.name in SUBJECTS]
    for view, via, subject in product(VIEWS, PROXIES, subjects):
        row = {"subject": subject.name, "title": subject.title, "view": view, "via": via}
        with ExitStack() as stack:
            with cpus.on(for_server):
                server = stack.enter_context(serving(subject))
            stack.enter_context(cpus.on(for_load))
            port = stack.enter_context(proxy.in_front_of(server.deployment.port, via))
            for phase in _phases(server, port, VIEWS[view], plan.seconds):
                yield {**row, **phase}
            server.stop(patience=0.0)


def _phases(server: Server, port: int, path: str, seconds: int) -> Iterator[Row]:
    capacity = _capacity(server, path, seconds)
    with Probes(server) as idle:
        time.sleep(seconds)
    with Probes(server) as probes:
        phases, notes = open_loop.run(
            port,
            path,
            [Phase(times * capacity, seconds) for times in TIMES],
            lambda: (time.perf_counter(), sum(process_tree.cpu_seconds(server.process.pid).values())),
        )
    for times, sent, ((begin, spent), (end, spent_then)) in zip(TIMES, phases, pairwise(notes), strict=True):
        yield {
            "times": times,
            "capacity": capacity,
            **_figures(sent, seconds),
            "cpu_seconds": spent_then - spent,
            "probe_p99_ms": _p99(probes.between(begin, end)),
            "idle_probe_p99_ms": _p99(idle.between(0, inf)),
        }


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


def _p99(milliseconds: Iterable[float]) -> float | None:
    found = [*milliseconds]
    return percentile(found, 99) if found else None


def report(rows: Sequence[Row]) -> str:
    """Return a table for each view and proxy."""
    text = "The server had half of the CPUs to itself. Clients, proxy and probes shared the others.\n\n"
    for view, via in dict.fromkeys((row["view"], row["via"]) for row in rows):
        mine = [row for row in rows if (row["view"], row["via"]) == (view, via)]
        text += f"### A view that {view}, {f'through {via}' if via else 'directly'}\n\n{_table(mine)}\n"
    return text


def _table(rows: Sequence[Row]) -> str:
    head = (
        "",
        "load",
        "answered in time",
        "p99, ms",
        "refused",
        "CPU of a refusal",
        "2 s after the change",
        "probe p99, ms",
        "without load",
    )
    return table(
        head,
        [
            (
                row["title"],
                f"{row['times']:g}",
                f"{row['in_time'] / row['capacity']:.0%} of capacity",
                "" if row["p99_ms"] is None else f"{row['p99_ms']:.0f}",
                f"{row['refused'] / row['sent']:.0%}" if row["sent"] else "",
                _cost_of_a_refusal(rows, row),
                "" if row["recovered"] is None else f"{row['recovered']:.0%}",
                *("" if row[key] is None else f"{row[key]:.1f}" for key in ("probe_p99_ms", "idle_probe_p99_ms")),
            )
            for row in rows
        ],
    )


def _cost_of_a_refusal(rows: Sequence[Row], row: Row) -> str:
    """Return the CPU of a refused request as a share of an answered one's in the first phase, if many were refused."""
    first = next(each for each in rows if each["subject"] == row["subject"])
    if row["refused"] < row["sent"] / 4 or not first["answered"]:
        return ""
    an_answer = first["cpu_seconds"] / first["answered"]
    return f"{(row['cpu_seconds'] - row['answered'] * an_answer) / row['refused'] / an_answer:.2f} of an answer"

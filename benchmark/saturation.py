"""Probes and scrapes while every worker thread is busy."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from typing import Any

from benchmark import wrk
from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import Server, serving
from benchmark.subject import Subject
from benchmark.summary import Summary, percentile

Row = dict[str, Any]
"""``subject``, ``title``, ``path``, ``asked``, and ``answered_ms``: the duration of each response in milliseconds."""

VIEW_SECONDS = 2
CONNECTIONS = 64
"""Number of connections that always have a request: eight for each thread."""
SHARED = ("--worker-connections=40",)
"""Gunicorn options that stop one worker from taking all connections, while the other worker is idle."""
EVERY_SECONDS = 0.1
TIMEOUT_SECONDS = 1.0
"""Timeout of a probe, with the default of Kubernetes."""
SETTLE_SECONDS = 1.0
PROBING_SECONDS = 10


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each path of each subject that has metrics."""
    for subject in plan.scraped():
        with serving(subject, gunicorn=SHARED) as server:
            seconds = min(PROBING_SECONDS, plan.rounds * plan.seconds)
            command = wrk.command(server.url(f"/slow?seconds={VIEW_SECONDS}"), seconds + VIEW_SECONDS + 1, CONNECTIONS)
            load = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                time.sleep(SETTLE_SECONDS)
                yield from _rows(subject, probe(server, _paths(subject), seconds))
            finally:
                load.kill()
                load.wait()
                server.stop(patience=0.0)  # requests for a quarter of a minute are still waiting


def _paths(subject: Subject) -> dict[str, bool]:
    return {**dict.fromkeys(subject.probes, subject.probes_aside), subject.scrape: True}


def probe(server: Server, paths: dict[str, bool], seconds: float) -> dict[str, list[float | None]]:
    """Request each path ten times a second, without waiting for the previous response.

    ``paths`` says for each path if it is on the port ``aside``. Return the duration of each response in seconds, or
    None if it did not arrive in time.
    """
    taken: dict[str, list[float | None]] = {path: [] for path in paths}

    def ask(path: str) -> None:
        begin = time.perf_counter()
        try:
            server.get(path, aside=paths[path], timeout=TIMEOUT_SECONDS)
        except (OSError, HTTPException):
            taken[path].append(None)
        else:
            taken[path].append(time.perf_counter() - begin)

    threads = []
    begin = time.monotonic()
    for turn in range(max(1, round(seconds / EVERY_SECONDS))):
        time.sleep(max(0.0, begin + turn * EVERY_SECONDS - time.monotonic()))
        for path in paths:
            threads.append(threading.Thread(target=ask, args=[path]))
            threads[-1].start()
    for thread in threads:
        thread.join()
    return taken


def _rows(subject: Subject, taken: dict[str, list[float | None]]) -> Iterator[Row]:
    for path, seconds in taken.items():
        row = {"subject": subject.name, "title": subject.title, "path": path, "asked": len(seconds)}
        yield {**row, "answered_ms": [second * 1e3 for second in seconds if second is not None]}


def report(rows: Sequence[Row]) -> str:
    """Return the table."""
    body = []
    for row in rows:
        times = row["answered_ms"]
        share = f"{len(times) / row['asked']:.0%} of {row['asked']}"
        figures = (f"{Summary.of(times).median:.1f}", f"{percentile(times, 99):.1f}") if times else ("", "")
        body.append((row["title"], f"`{row['path']}`", share, *figures))
    return table(("", "path", "answered within 1 s", "p50, ms", "p99, ms"), body)

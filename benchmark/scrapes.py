"""Duration of a scrape, and its growth with the number of recycled workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.log_sink import file_sink
from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import FailedError, Server, serving
from benchmark.summary import Summary

Row = dict[str, Any]
"""``subject``, ``title``, ``recycled`` workers, ``scrape_ms`` (a list), ``bytes``, ``failed`` scrapes."""

SCRAPES = 31
REQUESTS_OF_A_WORKER = 5
CLIENTS = 4
SECONDS_A_WORKER = 2.0
"""Time limit for each worker to be recycled."""


def scrape(server: Server, times: int = SCRAPES) -> Row:
    """Scrape several times, one after the other. Raise FailedError if no scrape succeeds."""
    milliseconds = []
    size = failed = 0
    for _ in range(times):
        begin = time.perf_counter()
        try:
            size = len(server.get(server.subject.scrape, aside=True))
        except (OSError, HTTPException):
            failed += 1
        else:
            milliseconds.append((time.perf_counter() - begin) * 1e3)
    if not milliseconds:
        raise FailedError(f"{server.subject.name}: all {times} scrapes failed")
    return {"scrape_ms": milliseconds, "bytes": size, "failed": failed}


def measure(plan: Plan) -> Iterator[Row]:
    """Recycle the workers of each subject that has metrics, and scrape it at each step of the plan."""
    options = (f"--max-requests={REQUESTS_OF_A_WORKER}",)
    for subject in plan.scraped():
        with TemporaryDirectory(prefix="bench-") as directory:
            log = Path(directory) / "log"
            with file_sink(log) as sink, serving(subject, sink, gunicorn=options) as server:
                for count in sorted(plan.recycled):
                    recycle(server, log, count)
                    row = {"subject": subject.name, "title": subject.title, "recycled": count}
                    yield {**row, **scrape(server)}


def recycle(server: Server, log: Path, count: int) -> None:
    """Send requests until ``count`` workers have ended. Raise FailedError if it takes too long."""
    deadline = time.monotonic() + 60 + count * SECONDS_A_WORKER

    def ask(_: int) -> None:
        try:
            server.get("/")
        except (OSError, HTTPException):  # the connection belonged to a worker that ended
            return

    with ThreadPoolExecutor(CLIENTS) as clients:
        while ended(log, server.deployment.workers) < count:
            if time.monotonic() > deadline:
                raise FailedError(f"{server.subject.name}: timed out before {count} workers were recycled")
            list(clients.map(ask, range(CLIENTS * REQUESTS_OF_A_WORKER)))


def ended(log: Path, workers: int) -> int:
    """Return the number of ended workers, counted by the lines that Gunicorn logs for started workers."""
    return max(0, log.read_bytes().count(b"Booting worker with pid") - workers)


def report(rows: Sequence[Row]) -> str:
    """Return the table."""
    fresh = {row["subject"]: Summary.of(row["scrape_ms"]).median for row in reversed(rows)}
    return table(
        ("", "recycled workers", "one scrape, ms", "relative to first row", "KiB", "failed"),
        [
            (
                row["title"],
                f"{row['recycled']:,}",
                Summary.of(row["scrape_ms"]).show(1),
                f"{Summary.of(row['scrape_ms']).median / fresh[row['subject']]:.2f}",
                f"{row['bytes'] / 1024:,.1f}",
                row["failed"],
            )
            for row in rows
        ],
    )

"""Growth of CPU, memory, start time and scrape time with routes, workers and the size of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark import window
from benchmark.log_sink import file_sink
from benchmark.markdown import table
from benchmark.memory import MIB, sizes
from benchmark.plan import Plan
from benchmark.port import LOOPBACK
from benchmark.scrapes import scrape
from benchmark.server import ANSWER_SECONDS, Server, serving
from benchmark.subject import REFERENCE, Subject
from benchmark.summary import Summary

Row = dict[str, Any]
"""``subject``, ``title``, ``what`` (it grows), ``size``, ``cpu_us``, ``first_answer_ms``, and the sizes of memory. If
the subject has metrics, also the fields of a scrape."""


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each size of each subject that has metrics, and of bare Flask."""
    subjects = [subject for subject in plan.subjects if subject.scrape or subject.name == REFERENCE]
    steps = [
        *[("routes", {"routes": size}) for size in plan.routes],
        *[("workers", {"workers": size}) for size in plan.workers],
        *[("log_bytes", {"log_bytes": size}) for size in plan.log_bytes],
    ]
    for what, size in steps:
        for subject in subjects:
            row = {"subject": subject.name, "title": subject.title, "what": what, "size": size[what]}
            yield {**row, **_grown(subject, plan.seconds, **size)}


def _grown(subject: Subject, seconds: int, *, routes: int = 0, workers: int = 2, log_bytes: int = 0) -> Row:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        sink = stack.enter_context(file_sink(directory / "log", log_bytes))
        server = stack.enter_context(serving(subject, sink, workers=workers, routes=routes))
        visit(server, routes)
        window.warm_up(server)
        measured = window.measure(server, seconds)
        return {
            "cpu_us": measured.cpu_us,
            "first_answer_ms": server.first_answer * 1e3,
            **sizes(server),
            **(scrape(server) if subject.scrape else {}),
        }


def visit(server: Server, routes: int) -> None:
    """Request every route once, so that each has its metric series."""
    connection = HTTPConnection(LOOPBACK, server.deployment.port, timeout=ANSWER_SECONDS)
    try:
        for number in range(routes):
            connection.request("GET", f"/route/{number}")
            connection.getresponse().read()
    finally:
        connection.close()


def report(rows: Sequence[Row]) -> str:
    """Return a table for each growing quantity."""
    titles = {"routes": "Routes", "workers": "Workers", "log_bytes": "Bytes already in the log"}
    text = ""
    for what, title in titles.items():
        these = [row for row in rows if row["what"] == what]
        if these:
            text += f"### {title}\n\n{_table(title.lower(), these)}\n"
    return text


def _table(title: str, rows: Sequence[Row]) -> str:
    head = ("", title, "CPU per request, µs", "first 200, ms", "one worker, MiB", "all, MiB", "one scrape, ms", "KiB")
    return table(
        head,
        [
            (
                row["title"],
                f"{row['size']:,}",
                f"{row['cpu_us']:,.0f}",
                f"{row['first_answer_ms']:,.0f}",
                f"{row['worker_bytes'] / MIB:.1f}",
                f"{row['tree_bytes'] / MIB:.1f}",
                f"{Summary.of(row['scrape_ms']).median:.1f}" if "scrape_ms" in row else "",
                f"{row['bytes'] / 1024:,.1f}" if "bytes" in row else "",
            )
            for row in sorted(rows, key=lambda row: row["subject"])
        ],
    )

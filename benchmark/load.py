"""The comparison of all subjects under the same load, in turns, so a disturbance affects all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark import window
from benchmark.log_sink import LogSink, file_sink, pipe_sink
from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import serving
from benchmark.subject import REFERENCE, Subject
from benchmark.summary import Summary, ratios

Row = dict[str, Any]
"""One window: ``variant``, ``subject``, ``title``, ``round``, the fields of Window, ``lines_per_request``."""

HOARDED = 0.9
"""If one worker has at least this share of the CPU time, it counts as holding most of the connections."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run all subjects. ``gunicorn`` has more options for subjects that run under Gunicorn."""

    name: str
    title: str
    sink: Callable[[Path], AbstractContextManager[LogSink]]
    gunicorn: Sequence[str] = ()


VARIANTS = (
    Variant("file", "Log to a file", lambda directory: file_sink(directory / "log")),
    Variant("pipe", "Log to a pipe", lambda _: pipe_sink()),
    Variant(
        "shared",
        "Log to a file, with `--worker-connections=20` for all: no worker can hold most of the connections",
        lambda directory: file_sink(directory / "log"),
        ("--worker-connections=20",),
    ),
)


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each window: all subjects, then all of them again."""
    for turn in range(plan.rounds):
        for variant in VARIANTS:
            # Each round shifts the order, so each subject takes each position in turn.
            shift = turn % len(plan.subjects)
            for subject in [*plan.subjects[shift:], *plan.subjects[:shift]]:
                row = {"variant": variant.name, "subject": subject.name, "title": subject.title, "round": turn}
                yield {**row, **_window(subject, variant, plan.seconds)}


def _window(subject: Subject, variant: Variant, seconds: int) -> Row:
    with TemporaryDirectory(prefix="bench-") as directory, variant.sink(Path(directory)) as sink:
        with serving(subject, sink, gunicorn=variant.gunicorn) as server:
            warmed = window.warm_up(server)
            measured = window.measure(server, seconds)
        return {**asdict(measured), "lines_per_request": sink.lines() / (warmed + measured.requests)}


def report(rows: Sequence[Row]) -> str:
    """Return a table for each variant."""
    text = ""
    for variant in VARIANTS:
        these = [row for row in rows if row["variant"] == variant.name]
        if these:
            text += f"### {variant.title}\n\n{_table(these)}\n"
    return text


def _table(rows: Sequence[Row]) -> str:
    head = (
        "",
        "CPU per request, µs",
        "to bare Flask",
        "requests/s",
        "to bare Flask",
        "p50, ms",
        "p99, ms",
        "on one worker",
        "lines per request",
        "failed",
    )
    body = []
    for name in dict.fromkeys(row["subject"] for row in rows):
        mine = [row for row in rows if row["subject"] == name]
        hoarded = sum(row["largest_share"] >= HOARDED for row in mine)
        body.append(
            (
                mine[0]["title"],
                Summary.of(values(rows, name, "cpu_us")).show(0),
                against_reference(rows, name, "cpu_us").show(2),
                Summary.of(values(rows, name, "requests_per_second")).show(0),
                against_reference(rows, name, "requests_per_second").show(2),
                Summary.of(values(rows, name, "p50_ms")).show(1),
                Summary.of(values(rows, name, "p99_ms")).show(1),
                f"{hoarded} of {len(mine)}",
                f"{Summary.of(values(rows, name, 'lines_per_request')).median:.1f}",
                sum(row["failed"] for row in mine),
            )
        )
    return table(head, body)


def values(rows: Sequence[Row], subject: str, field: str) -> list[float]:
    """Return one field of all windows of a subject, in the order of rounds."""
    return [row[field] for row in sorted(rows, key=lambda row: row["round"]) if row["subject"] == subject]


def against_reference(rows: Sequence[Row], subject: str, field: str) -> Summary:
    """Summarise the ratio to bare Flask in each round. All ``rows`` must have the same variant."""
    return ratios(values(rows, subject, field), values(rows, REFERENCE, field))

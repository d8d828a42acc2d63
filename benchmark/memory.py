"""Memory after a warm-up, as proportional set sizes, in which shared pages count once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark import process_tree, window
from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import Server, serving
from benchmark.subject import REFERENCE
from benchmark.summary import Summary, ratios

Row = dict[str, Any]
"""``subject``, ``title``, ``round``, ``worker_bytes`` (the mean of the workers), ``tree_bytes``."""

MIB = 1024 * 1024


def sizes(server: Server) -> Row:
    """Return the memory of one worker, and the memory of all processes of this server."""
    workers = process_tree.pss_bytes(server.workers())
    tree = process_tree.pss_bytes([server.process.pid, *process_tree.descendants(server.process.pid)])
    return {"worker_bytes": sum(workers) / len(workers), "tree_bytes": sum(tree)}


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each subject and round."""
    for turn in range(plan.rounds):
        for subject in plan.subjects:
            with serving(subject) as server:
                window.warm_up(server)
                yield {"subject": subject.name, "title": subject.title, "round": turn, **sizes(server)}


def report(rows: Sequence[Row]) -> str:
    """Return the table."""

    def of(name: str, field: str) -> list[float]:
        return [row[field] / MIB for row in rows if row["subject"] == name]

    titles = {row["subject"]: row["title"] for row in rows}
    return table(
        ("", "one worker, MiB", "to bare Flask", "all processes, MiB", "to bare Flask"),
        [
            (
                title,
                Summary.of(of(name, "worker_bytes")).show(1),
                ratios(of(name, "worker_bytes"), of(REFERENCE, "worker_bytes")).show(2),
                Summary.of(of(name, "tree_bytes")).show(1),
                ratios(of(name, "tree_bytes"), of(REFERENCE, "tree_bytes")).show(2),
            )
            for name, title in titles.items()
        ],
    )

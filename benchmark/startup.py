"""Time from exec to the first response with status 200."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import serving
from benchmark.subject import REFERENCE
from benchmark.summary import Summary, ratios

Row = dict[str, Any]
"""``subject``, ``title``, ``round``, ``first_answer_ms``."""

STARTS = 4
"""Starts per round. Starts are quick, and their times vary."""


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each start. A first start, without a row, compiles the bytecode."""
    for subject in plan.subjects:
        with serving(subject):
            pass
    for turn in range(plan.rounds * STARTS):
        for subject in plan.subjects:
            with serving(subject) as server:
                milliseconds = server.first_answer * 1e3
            yield {"subject": subject.name, "title": subject.title, "round": turn, "first_answer_ms": milliseconds}


def report(rows: Sequence[Row]) -> str:
    """Return the table."""

    def of(name: str) -> list[float]:
        return [row["first_answer_ms"] for row in rows if row["subject"] == name]

    titles = {row["subject"]: row["title"] for row in rows}
    return table(
        ("", "exec to the first 200, ms", "to bare Flask"),
        [
            (title, Summary.of(of(name)).show(0), ratios(of(name), of(REFERENCE)).show(2))
            for name, title in titles.items()
        ],
    )

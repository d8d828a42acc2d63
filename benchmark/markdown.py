"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table. The first column has text, and the other columns have figures."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *([str(cell) for cell in row] for row in rows)]
    if any(len(line) != len(head) for line in lines):
        raise ValueError(f"each row must have {len(head)} cells")
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

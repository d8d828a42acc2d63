"""The results as an SVG picture: ratios to bare Flask, scrapes after recycled workers, and answers under overload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark import load
from benchmark.drawing import BAR, DARK, INK, OTHERS, OURS, PALE, Canvas
from benchmark.summary import Summary

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each series."""

WIDTH = 960
_LEFT, _RIGHT, _ROW = 240, 130, 30
_PLOT = 220


def draw(results: Rows, caption: str) -> str:
    """Return the picture. It leaves out series that were not measured."""
    canvas = Canvas(WIDTH)
    canvas.text(24, 36, "This service beside others, measured in one run", size=20, weight="bold")
    canvas.text(24, 58, caption, size=12, fill=PALE)
    y = 96.0
    windows = [dict(row) for row in results.get("load", ()) if row["variant"] == "file"]
    for title, field in (
        ("CPU per request, relative to bare Flask (less is better)", "cpu_us"),
        ("Requests per second, relative to bare Flask (more is better)", "requests_per_second"),
    ):
        if windows:
            y = _bars(canvas, y, title, windows, field)
    if results.get("scrapes"):
        y = _scrapes(canvas, y, results["scrapes"])
    direct = [row for row in results.get("overload", ()) if not row["via"]]
    for view in dict.fromkeys(row["view"] for row in direct):
        y = _overload(canvas, y, view, [row for row in direct if row["view"] == view])
    canvas.height = y
    return canvas.render()


def _bars(canvas: Canvas, y: float, title: str, rows: list[load.Row], field: str) -> float:
    ratios = {name: load.against_reference(rows, name, field) for name in dict.fromkeys(row["subject"] for row in rows)}
    titles = {row["subject"]: row["title"] for row in rows}
    scale = (WIDTH - _LEFT - _RIGHT) / max(1.0, *(ratio.high for ratio in ratios.values()))
    canvas.text(24, y, title, size=15, weight="bold")
    top = y + 14
    for number, (name, ratio) in enumerate(ratios.items()):
        row = top + number * _ROW
        middle = row + _ROW / 2
        canvas.text(_LEFT - 10, middle + 4, titles[name], anchor="end")
        canvas.rect(_LEFT, row + 5, ratio.median * scale, _ROW - 10, OURS if name == "service" else BAR)
        canvas.line(_LEFT + ratio.low * scale, middle, _LEFT + ratio.high * scale, middle, INK, 1.5)
        canvas.text(WIDTH - _RIGHT + 16, middle + 4, f"{ratio.median:.2f}", weight="bold")
    bottom = top + len(ratios) * _ROW
    canvas.line(_LEFT + scale, top, _LEFT + scale, bottom, DARK, 1, dashes="4 3")
    return bottom + 40


def _scrapes(canvas: Canvas, y: float, rows: Sequence[Mapping[str, Any]]) -> float:
    """Draw a line for each subject. The steps have equal distances, and the times have a logarithmic scale."""
    counts = sorted({row["recycled"] for row in rows})
    times = {(row["subject"], row["recycled"]): Summary.of(row["scrape_ms"]).median for row in rows}
    low, high = 1.0, 10.0
    while low > min(times.values()):
        low /= 10
    while high < max(times.values()):
        high *= 10
    decades = round(Canvas.decades(low, high))
    lines = []
    for subject, title in {row["subject"]: row["title"] for row in rows}.items():
        mine = [times[subject, count] for count in counts if (subject, count) in times]
        heights = [Canvas.decades(low, milliseconds) / decades for milliseconds in mine]
        lines.append(_Line(subject, title, heights, f"{mine[-1]:.1f} ms"))
    grid = {step / decades: f"{low * 10**step:g} ms" for step in range(decades + 1)}
    title = "Duration of a scrape after recycled workers (less is better)"
    return _lines(canvas, y, title, [f"{count:,}" for count in counts], grid, lines)


def _overload(canvas: Canvas, y: float, view: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """Draw a line for each subject. The steps are the phases of load, in their order."""
    answered = [row["in_time"] / row["capacity"] for row in rows]
    highest = max(1.0, *answered)
    lines = []
    for subject, title in {row["subject"]: row["title"] for row in rows}.items():
        mine = [share / highest for share, row in zip(answered, rows, strict=True) if row["subject"] == subject]
        lines.append(_Line(subject, title, mine))
    times = [row["times"] for row in rows if row["subject"] == lines[0].subject]
    names = [f"load {each:g}" for each in times[:-1]] + [f"back to {times[-1]:g}"]
    grid = {share / highest: f"{share:.0%}" for share in (0.0, 0.25, 0.5, 0.75, 1.0)}
    title = f"A view that {view}, under overload: answers within 2 s, of the capacity (more is better)"
    return _lines(canvas, y, title, names, grid, lines)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a plot. The heights of its points are shares of the plot's height. ``end`` labels its last point."""

    subject: str
    title: str
    heights: Sequence[float]
    end: str = ""


def _lines(
    canvas: Canvas, y: float, title: str, names: Sequence[str], grid: Mapping[float, str], lines: Sequence[_Line]
) -> float:
    """Draw a plot with a title, a legend, the names of the steps, and lines of the grid by their heights."""
    canvas.text(24, y, title, size=15, weight="bold")
    bottom = y + 44 + _PLOT
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(names) - 1)
    for share, label in grid.items():
        height = bottom - share * _PLOT
        canvas.line(_LEFT, height, WIDTH - _RIGHT, height, "#e5e7eb", 1)
        canvas.text(_LEFT - 10, height + 4, label, anchor="end", fill=PALE)
    for number, name in enumerate(names):
        canvas.text(_LEFT + number * step, bottom + 20, name, anchor="middle", fill=PALE)
    others = iter(OTHERS)
    for number, line in enumerate(lines):
        colour = OURS if line.subject == "service" else next(others)
        points = [(_LEFT + index * step, bottom - share * _PLOT) for index, share in enumerate(line.heights)]
        canvas.path(points, colour)
        canvas.text(24 + number * _LEFT, y + 22, line.title, fill=colour, weight="bold")
        canvas.text(WIDTH - _RIGHT + 16, points[-1][1] + 4, line.end, fill=colour, weight="bold")
    return bottom + 50

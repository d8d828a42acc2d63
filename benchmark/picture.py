"""The results as an SVG picture: ratios to bare Flask, and scrape durations after recycled workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import load
from benchmark.drawing import BAR, DARK, INK, OURS, PALE, Canvas
from benchmark.summary import Summary

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each series."""

WIDTH = 960
_LEFT, _RIGHT, _ROW = 250, 130, 30
_PLOT = 220


def draw(results: Rows, caption: str) -> str:
    """Return the picture. It leaves out series that were not measured."""
    canvas = Canvas(WIDTH)
    canvas.text(24, 36, "Cost of a request compared to bare Flask under Gunicorn", size=20, weight="bold")
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
    canvas.text(24, y, "Duration of a scrape after recycled workers (less is better)", size=15, weight="bold")
    top, bottom = y + 44, y + 44 + _PLOT
    low, high = 1.0, 10.0
    while low > min(times.values()):
        low /= 10
    while high < max(times.values()):
        high *= 10
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(counts) - 1)
    across = {count: _LEFT + number * step for number, count in enumerate(counts)}

    def height(milliseconds: float) -> float:
        decades, above = Canvas.decades(low, high), Canvas.decades(low, milliseconds)
        return bottom - above / decades * (bottom - top)

    grid = low
    while grid <= high:
        canvas.line(_LEFT, height(grid), WIDTH - _RIGHT, height(grid), "#e5e7eb", 1)
        canvas.text(_LEFT - 10, height(grid) + 4, f"{grid:g} ms", anchor="end", fill=PALE)
        grid *= 10
    for count in counts:
        canvas.text(across[count], bottom + 20, f"{count:,}", anchor="middle", fill=PALE)
    legend = 24.0
    for subject, title in {row["subject"]: row["title"] for row in rows}.items():
        colour = OURS if subject == "service" else DARK
        points = [(across[count], height(times[subject, count])) for count in counts if (subject, count) in times]
        canvas.path(points, colour)
        canvas.text(legend, y + 22, title, fill=colour, weight="bold")
        legend += _LEFT
        last = times[subject, max(count for name, count in times if name == subject)]
        canvas.text(WIDTH - _RIGHT + 16, points[-1][1] + 4, f"{last:.1f} ms", fill=colour, weight="bold")
    return bottom + 50

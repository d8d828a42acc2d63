"""The SVG shapes that the picture needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

INK, PALE, DARK = "#111827", "#4b5563", "#6b7280"
BAR, OURS = "#9ca3af", "#1d4ed8"
OTHERS = (DARK, "#b45309", "#15803d", "#a21caf", "#0e7490", "#be123c", "#4d7c0f")
"""The colours of lines of other subjects."""
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


class Canvas:
    """An SVG picture. You can set ``height`` until you render it. Lengths are in pixels."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._shapes: list[ET.Element] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 13,
        weight: str = "normal",
        anchor: str = "start",
        fill: str = INK,
    ) -> None:
        """Draw text. ``y`` is its baseline."""
        element = self._add("text", x=x, y=y, fill=fill)
        element.text = text
        element.attrib |= {"font-size": str(size), "font-weight": weight, "text-anchor": anchor}

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Fill a rectangle."""
        self._add("rect", x=x, y=y, width=width, height=height, fill=fill)

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, width: float, dashes: str = "") -> None:
        """Draw a line."""
        element = self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke)
        element.attrib |= {"stroke-width": str(width), "stroke-dasharray": dashes or "none"}

    def path(self, points: Sequence[tuple[float, float]], stroke: str) -> None:
        """Draw a line through these points."""
        element = self._add("polyline", fill="none", stroke=stroke)
        element.attrib |= {
            "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            "stroke-width": "2.5",
        }

    def render(self) -> str:
        """Return the picture as SVG."""
        size = {"width": f"{self.width:g}", "height": f"{self.height:g}"}
        box = f"0 0 {self.width:g} {self.height:g}"
        root = ET.Element("svg", size, xmlns="http://www.w3.org/2000/svg", viewBox=box)
        root.set("font-family", _FONT)
        ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
        root.extend(self._shapes)
        ET.indent(root)
        return ET.tostring(root, encoding="unicode") + "\n"

    @staticmethod
    def decades(low: float, high: float) -> float:
        """Return the number of powers of ten between two values, for a logarithmic scale."""
        return math.log10(high / low)

    def _add(self, shape: str, **attributes: float | str) -> ET.Element:
        given = {name: value if isinstance(value, str) else f"{value:.1f}" for name, value in attributes.items()}
        self._shapes.append(ET.Element(shape, given))
        return self._shapes[-1]

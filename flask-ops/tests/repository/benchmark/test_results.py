"""The files of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmark import machine, results
from benchmark.markdown import table

WINDOW = {"requests": 100, "p50_ms": 1.0, "p99_ms": 2.0, "failed": 0, "lines_per_request": 1.0, "variant": "file"}


def window(subject: str, turn: int, cpu_us: float, share: float = 0.5) -> dict[str, Any]:
    figures = {"cpu_us": cpu_us, "requests_per_second": 1e6 / cpu_us, "largest_share": share}
    return {**WINDOW, **figures, "subject": subject, "title": f"<{subject}>", "round": turn}


def test_tables_data_and_picture_tell_the_same(tmp_path: Path) -> None:
    rows = {
        "load": [
            window("bare", 0, 100.0),
            window("service", 0, 110.0),
            window("bare", 1, 200.0, share=1.0),
            window("service", 1, 240.0),
        ],
        "clients": [
            {"subject": name, "title": f"<{name}>", "round": 0, "kept": True, "clients": 400, **load}
            for name, load in (
                ("bare", {"requests_per_second": 4000.0, "p99_ms": 150.0, "failed": 0}),
                ("service", {"requests_per_second": 5000.0, "p99_ms": 100.0, "failed": 2}),
            )
        ],
        "scrapes": [
            {
                "subject": "service",
                "title": "<service>",
                "recycled": count,
                "scrape_ms": [5.0],
                "bytes": 1024,
                "failed": 0,
            }
            for count in (0, 2000)
        ],
        "saturation": [
            {"subject": "service", "title": "<service>", "path": "/livez", "asked": 2, "answered_ms": [1.0]},
            {"subject": "service", "title": "<service>", "path": "/readyz", "asked": 2, "answered_ms": []},
        ],
    }
    phase = {
        "title": "<service>",
        "view": "sleeps",
        "via": "",
        "capacity": 80.0,
        "idle_probe_p99_ms": 1.5,
        "probe_p99_ms": 2.0,
    }
    counts = {"sent": 200, "refused": 100, "p99_ms": 400.0, "recovered": None}
    rows["overload"] = [
        {"subject": "service", **phase, **counts, "times": 0.7, "answered": 60, "in_time": 60.0, "cpu_seconds": 0.06},
        {"subject": "service", **phase, **counts, "times": 5.0, "answered": 72, "in_time": 72.0, "cpu_seconds": 0.077},
    ]
    where = {**machine.describe(), "rounds": 2, "seconds": 1}

    text = results.write(tmp_path, where, rows)

    assert "| <service> | 175 (110-240) | 1.15 (1.10-1.20) |" in text
    assert "| <bare> | 150 (100-200) | 1.00 |" in text
    assert "| 1 of 2 | 1.0 | 0 |" in text
    assert "| <service> | 400 | 5,000 | 1.25 | 100.0 | 2 |" in text
    assert "| <service> | 2,000 | 5.0 | 1.00 | 1.0 | 0 |" in text
    assert "| <service> | `/livez` | 50% of 2 | 1.0 | 1.0 |" in text
    assert "| <service> | `/readyz` | 0% of 2 |  |  |" in text
    assert "### A view that sleeps, directly" in text
    assert "| <service> | 5 | 90% of capacity | 400 | 50% | 0.05 of an answer |  | 2.0 | 1.5 |" in text
    assert text == (tmp_path / "results.md").read_text()
    assert {"machine": where, "results": rows} == json.loads((tmp_path / "results.json").read_text())
    picture = ET.fromstring((tmp_path / "results.svg").read_text())  # noqa: S314 - made just now
    written = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert {"<service>", "1.15", "1.00", "5.0 ms", "2,000", "load 0.7", "back to 5"} <= set(written)
    assert float(picture.attrib["height"]) > 500


def test_a_table_has_its_figures_on_the_right() -> None:
    assert "|  | a |\n| --- | ---: |\n| x | 1 |\n" == table(("", "a"), [("x", 1)])
    with pytest.raises(ValueError, match="must have 2 cells"):
        table(("", "a"), [("x",)])

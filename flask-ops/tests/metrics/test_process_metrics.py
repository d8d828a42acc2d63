from __future__ import annotations

import dataclasses
import os

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flask_ops.metrics import process_metrics
from flask_ops.metrics.process_metrics import ProcessMetrics
from flask_ops.metrics.processes import Figures

FIGURES = Figures(1.5, 2, 3, 4, 5, 6, 0.7, 8, 9.0, 10)


def samples(monkeypatch: pytest.MonkeyPatch, found: Figures | None) -> dict[str, tuple[str, float]]:
    """Return type and value of each sample of a scrape, for the process 42 with these figures."""
    monkeypatch.setattr(process_metrics, "figures", lambda main, **_: {42: found}[main])
    registry = CollectorRegistry()
    registry.register(ProcessMetrics(lambda: 42))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name: (family.type, sample.value) for family in families for sample in family.samples}


def test_each_figure_is_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "process_cpu_seconds_total": ("counter", 1.5),
        "process_resident_memory_bytes": ("gauge", 2),
        "process_virtual_memory_bytes": ("gauge", 3),
        "service_worker_memory_max_bytes": ("gauge", 4),
        "process_open_fds": ("gauge", 5),
        "process_max_fds": ("gauge", 6),
        "service_process_open_fds_max_ratio": ("gauge", 0.7),
        "process_threads": ("gauge", 8),
        "process_start_time_seconds": ("gauge", 9),
        "service_workers": ("gauge", 10),
    }
    assert expected == samples(monkeypatch, FIGURES)


def test_what_cannot_be_told_is_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    partial = dataclasses.replace(
        FIGURES, cpu_seconds=None, open_descriptors=None, descriptor_limit=None, descriptor_share=None, started=None
    )

    assert samples(monkeypatch, partial).keys() == {
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "service_worker_memory_max_bytes",
        "process_threads",
        "service_workers",
    }


def test_without_figures_there_is_no_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {} == samples(monkeypatch, None)


def test_the_process_is_asked_for_at_a_scrape_and_not_before() -> None:
    asked: list[int] = []

    def main() -> int:
        asked.append(1)
        return os.getpid()

    registry = CollectorRegistry()
    registry.register(ProcessMetrics(main))
    assert 0 == len(asked)
    generate_latest(registry)
    generate_latest(registry)
    assert 2 == len(asked)

"""Read Prometheus's text format in tests."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.process import Server


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum over all samples with this name and these labels; 0 where there is none."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def scrape(server: Server) -> str:
    """Return what ``/metrics`` says."""
    answer = server.get("/metrics")
    assert answer.status == 200, answer
    return answer.body.decode()

"""A reader of Prometheus's text format."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.process import Server


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum over all samples with this name and these labels, or 0 if there is none."""
    return sum(sample.value for sample in _samples(text).get(name, ()) if labels.items() <= sample.labels.items())


@lru_cache(maxsize=4)
def _samples(text: str) -> dict[str, list[Sample]]:
    """Return the samples by name. They are cached, because tests read many values and parsing is slow."""
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def scrape(server: Server) -> str:
    """Return the text of ``/metrics``."""
    answer = server.get("/metrics")
    assert answer.status == 200, answer
    return answer.body.decode()

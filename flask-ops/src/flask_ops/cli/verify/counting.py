"""The test that the metrics count exactly the requests made here. Without it, a missing process stays hidden."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.cli.verify.client import Answer, Client, ClosedError
from flask_ops.metrics import scrape
from flask_ops.web.probes import LIVENESS

_METRICS = _REQUESTS, _START, _BUILD = "flask_http_request_total", "process_start_time_seconds", "service_build_info"
REQUESTS = 10
SECONDS = 2.0
"""Limit for the wait. A request is counted at its end, just after its client has the answer."""
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Scrape:
    """The metrics of one instance: the requests that it has counted, and its identity."""

    counted: float
    started: float
    server: str
    mode: str


def read(client: Client, path: str = scrape.PATH) -> Scrape | None:
    """Scrape; return None without metrics of the service. Raises NoAnswerError for an incomplete answer."""
    try:
        answer = client.get(path, {"Accept": "text/plain;version=0.0.4"})
    except ClosedError:
        return None
    if answer.status != 200:
        return None
    counted, started, build, is_ours = 0.0, 0.0, {"server": "", "mode": ""}, False
    try:
        lines = [line for line in answer.body.decode().split("\n") if line.startswith(_METRICS)]
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                if sample.name == _REQUESTS:
                    is_ours = True
                    labels = sample.labels.get("method"), sample.labels.get("route"), sample.labels.get("status")
                    counted += sample.value if labels == ("GET", LIVENESS, "200") else 0
                elif sample.name == _START:
                    started = sample.value
                elif sample.name == _BUILD:
                    build.update(sample.labels)
    except ValueError:  # something else answers there
        return None
    return Scrape(counted, started, build["server"], build["mode"]) if is_ours else None


def judge(before: Mapping[Client, Scrape], answers: list[Answer]) -> Iterator[Finding]:
    """Compare the increase over all sources since the scrapes ``before`` with the number of ``answers``."""
    made = sum(answer.status == 200 for answer in answers)
    if not before:
        yield note("metrics", "There are no metrics at this address, so they are not tested.", "Add --management URL.")
        return
    if not made:  # the finding of the probe is an error
        return
    increase = _increase(before, made)
    if increase is None:
        yield warning(
            "metrics",
            "Two scrapes are not of the same instance: several instances answer here, or one has restarted.",
            "Add --management URL for each instance.",
        )
    elif increase == made:
        yield ok("metrics", f"They count exactly the {made} requests made here.")
    elif increase > made:
        yield ok("metrics", f"They count at least the {made} requests made here: {increase:.0f}, with other clients.")
    else:  # also if it is not a number
        yield error(
            "metrics",
            f"They count {increase:.0f} of {made} requests.",
            "Add --management URL for each instance. With one instance, some processes are missing from the sum.",
        )


def _increase(before: Mapping[Client, Scrape], made: int) -> float | None:
    """Scrape again until ``made`` requests are counted, and return the increase. None if an instance has changed."""
    end = time.monotonic() + SECONDS
    while True:
        increase = 0.0
        for client, earlier in before.items():
            later = read(client)
            if later is None or later.started != earlier.started or later.counted < earlier.counted:
                return None
            increase += later.counted - earlier.counted
        if increase >= made or time.monotonic() >= end:
            return increase
        time.sleep(_PAUSE)

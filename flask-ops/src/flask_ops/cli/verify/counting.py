"""Tests of the metrics, which must count exactly the requests made here, and of the latency."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.cli.verify.answer import Answer
from flask_ops.cli.verify.client import Client, ClosedError, NoAnswerError
from flask_ops.metrics import scrape
from flask_ops.web.probes import LIVENESS

_METRICS = _REQUESTS, _START, _BUILD = (
    "flask_http_request_total",
    "process_start_time_seconds",
    "service_build_info",
)
REQUESTS = 10
SECONDS = 2.0
"""Limit for the wait. A request is counted at its end, just after its client has the answer."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The metrics of one instance: the requests that it has counted, and its identity."""

    counted: float
    started: float
    server: str
    mode: str


def read(client: Client, path: str = scrape.PATH) -> Scrape | None:
    """Scrape; return None without metrics of the service. Raises NoAnswerError."""
    return client.read(path, {"Accept": "text/plain;version=0.0.4"}, _understand)


def _understand(answer: Answer) -> Scrape | None:
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


def ask(client: Client) -> list[Answer]:
    """Make the requests that the metrics must count, one after the other. Raises NoAnswerError."""
    return [client.get(LIVENESS) for _ in range(REQUESTS)]


def judge(sources: Sequence[Client], before: Sequence[Scrape | None], answers: Sequence[Answer]) -> Iterator[Finding]:
    """Compare the increase over all ``sources`` since ``before`` with the number of ``answers``."""
    made = sum(answer.status == 200 for answer in answers)
    known = [(client, scraped) for client, scraped in zip(sources, before, strict=True) if scraped is not None]
    if not known:
        yield note("metrics", "There are no metrics at this address, so they are not tested.", "Add --management URL.")
        return
    if not made:
        yield error("metrics", f"No request to {LIVENESS} succeeded, so there is nothing to count.", "See above.")
        return
    increase, restarted = 0.0, False

    def all_are_counted() -> bool:
        nonlocal increase, restarted
        increase = 0.0
        for client, earlier in known:
            later = read(client)
            if later is None or later.started != earlier.started or later.counted < earlier.counted:
                restarted = True
                return True
            increase += later.counted - earlier.counted
        return increase >= made

    known[0][0].wait(all_are_counted, SECONDS)
    if restarted:
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


def latency(answers: Sequence[Answer], limit: float) -> Finding:
    """Judge the median against ``limit`` (seconds)."""
    times = [answer.seconds for answer in answers]
    median = statistics.median(times)
    text = f"p50 {median * 1000:.1f} ms, max {max(times) * 1000:.1f} ms of {len(times)} requests with new connections"
    if median > limit:
        return warning("latency", f"{text}; the limit is {limit * 1000:g} ms.", "Is it far away, or short of CPU?")
    return ok("latency", text)


def scrape_all(sources: Sequence[Client]) -> Generator[Finding, None, list[Scrape | None]]:
    """Scrape each source; return None for a source without metrics. Yield an error for an incomplete answer."""
    found: list[Scrape | None] = []
    for client in sources:
        try:
            found.append(read(client))
        except NoAnswerError as reason:
            found.append(None)
            if not isinstance(reason, ClosedError):
                yield error("metrics", f"{client.target}{scrape.PATH}: {reason}.", "See the log.")
    return found

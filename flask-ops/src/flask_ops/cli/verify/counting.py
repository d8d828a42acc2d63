"""Whether the metrics count the very requests that are made here, and how fast those are answered."""

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
"""A request is counted when it is over, which is just after its client has the answer."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What is read of the metrics of one instance: the requests it has counted, and what tells it from others."""

    counted: float
    started: float
    server: str
    mode: str


def read(client: Client, path: str = scrape.PATH) -> Scrape | None:
    """Scrape; return None where there are no metrics of the service. Raises NoAnswerError."""
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
    """Make the requests that are to be found in the metrics, one after the other. Raises NoAnswerError."""
    return [client.get(LIVENESS) for _ in range(REQUESTS)]


def judge(sources: Sequence[Client], before: Sequence[Scrape | None], answers: Sequence[Answer]) -> Iterator[Finding]:
    """Compare the sum over all ``sources``, as scraped ``before`` and now, with the ``answers`` in between."""
    made = sum(answer.status == 200 for answer in answers)
    known = [(client, scraped) for client, scraped in zip(sources, before, strict=True) if scraped is not None]
    if not known:
        yield note("metrics", "There are none at this address, so nothing is said of them.", "--management URL")
        return
    if not made:
        yield error("metrics", f"No request to {LIVENESS} has succeeded that could be found in them.", "See above.")
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
            "Two scrapes are not of the same instance: several answer here in turn, or it has restarted.",
            "--management URL, once for each instance",
        )
    elif increase == made:
        yield ok("metrics", f"They count exactly the {made} requests made here.")
    elif increase > made:
        yield ok("metrics", f"They count at least the {made} requests made here: {increase:.0f}, with those of others.")
    else:  # not a number, too
        yield error(
            "metrics",
            f"They count {increase:.0f} of {made} requests.",
            "--management URL for each instance, if there are more; else not all processes are in the sum.",
        )


def latency(answers: Sequence[Answer], limit: float) -> Finding:
    """Judge the median against ``limit`` (seconds)."""
    times = [answer.seconds for answer in answers]
    median = statistics.median(times)
    text = f"p50 {median * 1000:.1f} ms, max {max(times) * 1000:.1f} ms of {len(times)} requests, with connecting"
    if median > limit:
        return warning("latency", f"{text}; the limit is {limit * 1000:g} ms.", "Is it far away, or has it no CPU?")
    return ok("latency", text)


def scrape_all(sources: Sequence[Client]) -> Generator[Finding, None, list[Scrape | None]]:
    """Scrape each; return None for one that gives no metrics. Yield what is found where it gives no whole answer."""
    found: list[Scrape | None] = []
    for client in sources:
        try:
            found.append(read(client))
        except NoAnswerError as reason:
            found.append(None)
            if not isinstance(reason, ClosedError):
                yield error("metrics", f"{client.target}{scrape.PATH}: {reason}.", "The log says more.")
    return found

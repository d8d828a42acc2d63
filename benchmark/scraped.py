"""Latency of requests while the metrics of many routes are scraped each second.

A scrape needs CPU, and a worker may answer it. So it could delay requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark import open_loop, window
from benchmark.growth import visit
from benchmark.markdown import table
from benchmark.open_loop import Phase
from benchmark.plan import Plan
from benchmark.probes import Probes
from benchmark.scrapes import scrape
from benchmark.server import FailedError, Server, serving
from benchmark.summary import Summary, percentile, ratios

Row = dict[str, Any]
"""``subject``, ``title``, ``routes``, ``workers``, ``first_scrape_ms``, ``scrape_ms`` (the next scrapes, without load),
and for each round ``p99_ms`` without scrapes and ``scraped_p99_ms`` with them."""

ROUTES = 1000
WORKERS = (2, 8)
REQUESTS_PER_SECOND = 100
"""About a tenth of what two cores can answer, so that requests do not wait for each other."""
SCRAPE_SECONDS = 1.0


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each number of workers of each subject that has metrics."""
    for subject in plan.scraped():
        for workers in WORKERS:
            with serving(subject, workers=workers, routes=ROUTES) as server:
                visit(server, ROUTES)
                window.warm_up(server)
                (first,) = scrape(server, 1)["scrape_ms"]
                without, scraped = [], []
                for _ in range(plan.rounds):
                    without.append(_p99_ms(server, plan.seconds))
                    with Probes(server, subject.scrape, SCRAPE_SECONDS):
                        scraped.append(_p99_ms(server, plan.seconds))
                yield {
                    "subject": subject.name,
                    "title": subject.title,
                    "routes": ROUTES,
                    "workers": workers,
                    "first_scrape_ms": first,
                    "scrape_ms": scrape(server)["scrape_ms"],
                    "p99_ms": without,
                    "scraped_p99_ms": scraped,
                }


def _p99_ms(server: Server, seconds: int) -> float:
    ((sent,), _) = open_loop.run(server.deployment.port, "/", [Phase(REQUESTS_PER_SECOND, seconds)], lambda: None)
    if any(each.status != 200 for each in sent):
        raise FailedError(f"{server.subject.name}: a request failed")
    return percentile([each.seconds * 1e3 for each in sent], 99)


def report(rows: Sequence[Row]) -> str:
    """Return the table."""
    return table(
        (
            "",
            "workers",
            "first scrape, ms",
            "next scrapes, ms",
            "request p99, ms",
            "with a scrape each second",
            "ratio",
        ),
        [
            (
                row["title"],
                row["workers"],
                f"{row['first_scrape_ms']:.1f}",
                Summary.of(row["scrape_ms"]).show(1),
                Summary.of(row["p99_ms"]).show(1),
                Summary.of(row["scraped_p99_ms"]).show(1),
                ratios(row["scraped_p99_ms"], row["p99_ms"]).show(2),
            )
            for row in rows
        ],
    )

"""Few and many clients that never pause, on connections that stay open, or with one connection for each request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark import wrk
from benchmark.markdown import table
from benchmark.plan import Plan
from benchmark.server import FailedError, serving
from benchmark.subject import REFERENCE
from benchmark.summary import Summary, ratios
from benchmark.window import WARM_UP_SECONDS

Row = dict[str, Any]
"""``subject``, ``title``, ``round``, ``kept``, ``clients``, ``requests_per_second``, ``p99_ms``, ``failed``."""

CLIENTS = (4, 32, 128, 400)
"""Numbers of clients. The servers have eight threads."""
_TITLES = {True: "Connections that stay open", False: "One request per connection"}
_CLOSE = ("Connection: close",)


def measure(plan: Plan) -> Iterator[Row]:
    """Yield one row for each number of clients. Each has a server of its own."""
    for turn in range(plan.rounds):
        for kept in _TITLES:
            for clients in CLIENTS:
                for subject in plan.subjects:
                    with serving(subject) as server:
                        headers = () if kept else _CLOSE
                        wrk.run(server.url(), WARM_UP_SECONDS, clients, headers)
                        load = wrk.run(server.url(), plan.seconds, clients, headers)
                    if not load.requests:
                        raise FailedError(f"{subject.name} completed no request of {clients} clients")
                    row = {"subject": subject.name, "title": subject.title, "round": turn, "kept": kept}
                    rate = load.requests / load.seconds
                    figures = {"requests_per_second": rate, "p99_ms": load.p99 * 1e3, "failed": load.failed}
                    yield {**row, "clients": clients, **figures}


def report(rows: Sequence[Row]) -> str:
    """Return a table for each kind of connection."""
    text = ""
    for kept, title in _TITLES.items():
        these = [row for row in rows if row["kept"] is kept]
        if these:
            text += f"### {title}\n\n{_table(these)}\n"
    return text


def _table(rows: Sequence[Row]) -> str:
    def of(clients: int, subject: str, field: str) -> list[float]:
        return [row[field] for row in rows if (row["clients"], row["subject"]) == (clients, subject)]

    titles = {row["subject"]: row["title"] for row in rows}
    body = [
        (
            title,
            clients,
            Summary.of(of(clients, name, "requests_per_second")).show(0),
            ratios(of(clients, name, "requests_per_second"), of(clients, REFERENCE, "requests_per_second")).show(2),
            Summary.of(of(clients, name, "p99_ms")).show(1),
            sum(of(clients, name, "failed")),
        )
        for clients in dict.fromkeys(row["clients"] for row in rows)
        for name, title in titles.items()
    ]
    return table(("", "clients", "requests/s", "to bare Flask", "p99, ms", "failed"), body)

"""Tests of the management address."""

from __future__ import annotations

from collections.abc import Iterator

from flask_ops.cli.findings import Finding, error, ok
from flask_ops.cli.verify.client import Client
from flask_ops.cli.verify.counting import Scrape


def look(client: Client, scraped: Scrape | None) -> Iterator[Finding]:
    """Request liveness, readiness and facts; ``scraped`` is the scrape of the address. Raises NoAnswerError."""
    where = client.target
    info = client.get("/info").json()
    if not {"name", "version", "server"} <= info.keys():
        yield error("management", f"{where} is not a management address.", "Use SERVICE_MANAGEMENT_BIND.")
        return
    for path in ("/livez", "/readyz"):
        answer = client.get(path)
        if answer.status != 200:
            said = str(answer.json().get("reason") or answer.json().get("status") or "")[:200]
            yield error("management", f"{where}{path} answers {answer}: {said}.", "See the log.")
    if scraped is None:
        yield error("management", f"{where} has no metrics.", "Is it the address of this service?")
    facts = f"{info['name']} {info['version']} on {info['server']}"
    yield ok("management", f"{where} answers for {facts[:200]}.")

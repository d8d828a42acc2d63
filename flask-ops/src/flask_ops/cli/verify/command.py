"""The command ``verify``: tests of a running service from outside, in a bounded time."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator

from flask_ops.cli.findings import Finding, error, report, warning
from flask_ops.cli.verify import counting, tests
from flask_ops.cli.verify.client import Client, NoAnswerError
from flask_ops.cli.verify.counting import Scrape
from flask_ops.core.settings import management_token
from flask_ops.metrics import scrape
from flask_ops.web.probes import LIVENESS, READINESS

_TIMEOUTS = 12
"""Limit for all tests together, in timeouts. A server that sends a byte now and then would never time out."""
_NOT_YET = {502, 503, 504}
"""Answers of a proxy without a backend, and of a service that is not ready."""
_PAUSE = 0.25
"""Seconds from one answer to the next request of ``--wait``."""


def run(options: argparse.Namespace) -> int:
    """Report the findings, and return the exit code. Raises argparse.ArgumentError."""
    try:
        token = management_token(os.environ)
    except ValueError as problem:
        raise argparse.ArgumentError(None, str(problem)) from None
    try:
        client = Client(options.url, options.timeout)
        managements = [Client(url, options.timeout, token) for url in options.management]
    except ValueError as expected:  # the URL may contain a password, so do not show it
        raise argparse.ArgumentError(None, f"invalid URL, expected {expected}") from None
    if client.origin in [management.origin for management in managements]:
        raise argparse.ArgumentError(None, "URL and --management are the same address")
    if len({(management.origin, management.path) for management in managements}) < len(managements):
        text = "an address is given twice with --management, and would be counted twice"
        raise argparse.ArgumentError(None, text)
    findings: list[Finding] = []
    done = threading.Event()

    def look() -> None:
        findings.extend(_look(client, managements, options))  # one by one: they stay if the next one does not end
        done.set()

    limit = options.wait + _TIMEOUTS * options.timeout
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(limit)
    if not done.is_set():
        cure = "Raise --timeout if the service may be so slow."
        findings.append(error("time", f"Not done within {limit:g} s; the rest was not tested.", cure))
    facts = {"url": str(client), "management": [*map(str, managements)]}
    return report([*findings], facts, as_json=options.json, title=f"{client}\n\n")


def _look(client: Client, managements: list[Client], options: argparse.Namespace) -> Iterator[Finding]:
    _wait([client, *managements], options.wait)
    try:
        page = client.get(options.path)
    except NoAnswerError as reason:
        within = f" within {options.wait:g} s" if options.wait else ""
        yield error(options.path, f"{client} cannot be reached{within}: {reason}.", "Nothing else was tested.")
        return
    yield tests.first(options.path, page)
    if options.public and not client.is_tls:
        yield warning("tls", "Plain http: anyone on the way can read and change it.", "Put a proxy with TLS in front.")
    scrapes: dict[Client, Scrape] = {}
    for source in [client, *managements]:
        try:
            found = counting.read(source)
        except NoAnswerError as reason:
            yield error("metrics", f"{source}{scrape.PATH}: {reason}.", "See the log.")
        else:
            if found is not None:
                scrapes[source] = found
    counted = {source: scrapes[source] for source in managements or [client] if source in scrapes}
    scraped = scrapes.get(managements[0] if managements else client)
    looks: list[tuple[str, Iterator[Finding]]] = [
        ("metrics", _count(client, counted)),
        (READINESS, tests.probe(READINESS, lambda: client.get(READINESS))),
        ("404", tests.not_found(client)),
        ("request id", tests.request_id(client, options.path)),
        ("server", tests.server(client, page, scraped)),
        ("exposed", tests.exposed_metrics(client, scrapes.get(client), public=options.public)),
        ("exposed", tests.exposed_management(client)),
        *(("management", tests.management(management, scrapes.get(management))) for management in managements),
    ]
    for subject, look in looks:
        try:
            yield from look
        except NoAnswerError as reason:
            text = f"{str(reason)[0].upper()}{str(reason)[1:]}."
            yield error(subject, text, "See the log of the service and its proxy.")


def _wait(clients: Iterable[Client], seconds: float) -> None:
    """Wait until each client gets an answer other than those of ``_NOT_YET``, at most ``seconds`` in total."""
    end = time.monotonic() + seconds
    for client in clients:
        while time.monotonic() < end:
            with contextlib.suppress(NoAnswerError):
                if client.get(READINESS).status not in _NOT_YET:
                    break
            time.sleep(_PAUSE)


def _count(client: Client, before: dict[Client, Scrape]) -> Iterator[Finding]:
    answers = [client.get(LIVENESS) for _ in range(counting.REQUESTS)]
    yield from tests.probe(LIVENESS, lambda: answers[-1])
    yield from counting.judge(before, answers)

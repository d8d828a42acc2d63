"""The command ``verify``: tests of a running service."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from flask_ops.cli.findings import Finding, as_json, as_table, error, failed, warning
from flask_ops.cli.verify import answering, certificate, counting, exposure, managing, waiting
from flask_ops.cli.verify.client import Client, NoAnswerError, OutOfTimeError
from flask_ops.cli.verify.target import Target


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the findings to standard output. Return the exit code, 1 after an error.

    Raises SystemExit with 2 for invalid arguments.
    """
    try:
        target, *managements = [Target.parse(url) for url in [options.url, *options.management]]
    except ValueError as expected:  # the URL may contain a password, so do not show it
        parser.error(f"invalid URL, expected {expected}")
    if target.origin in [management.origin for management in managements]:
        parser.error("URL and --management are the same address")
    if len({(management.origin, management.path) for management in managements}) < len(managements):
        parser.error("an address is given twice with --management, and would be counted twice")
    if options.wait:
        waiting.until_ready([target, *managements], seconds=options.wait, timeout=options.timeout)
    findings: list[Finding] = []
    try:
        for finding in _look(target, managements, options):
            findings.append(finding)  # noqa: PERF402 - keep it if the next one times out
    except OutOfTimeError:
        cure = "Raise --total-timeout if the service may be so slow."
        findings.append(error("time", f"Not done within {options.total_timeout:g} s; the rest was not tested.", cure))
    facts = {"url": str(target), "management": [*map(str, managements)]}
    width = shutil.get_terminal_size((110, 24)).columns
    sys.stdout.write(as_json(findings, facts) if options.json else f"{target}\n\n{as_table(findings, width)}")
    return int(failed(findings))


def _look(target: Target, managements: list[Target], options: argparse.Namespace) -> Iterator[Finding]:
    deadline = time.monotonic() + options.total_timeout
    client, *others = [Client(each, timeout=options.timeout, deadline=deadline) for each in [target, *managements]]
    try:
        page = client.get(options.path)
    except NoAnswerError as reason:
        within = f" within {options.wait:g} s" if options.wait else ""
        yield error(options.path, f"{target} cannot be reached{within}: {reason}.", "Nothing else was tested.")
        return
    yield from answering.first(options.path, page)
    if target.scheme == "https":
        yield from _each("tls", partial(certificate.look, client, options.certificate_days))
    elif options.public:
        yield warning("tls", "Plain http: anyone on the way can read and change it.", "Put a proxy with TLS in front.")
    own = yield from counting.scrape_all([client])
    sources, before = (others, (yield from counting.scrape_all(others))) if others else ([client], own)
    yield from _each("metrics", partial(_count, client, sources, before, options.latency))
    yield from _each("/readyz", partial(answering.readiness, client))
    yield from _each("404", partial(answering.not_found, client))
    yield from _each("request id", partial(answering.request_id, client, options.path))
    yield from _each("server", partial(exposure.server, client, page, before[0]))
    yield exposure.metrics(client, own[0], public=options.public)
    yield exposure.management(client)
    for other, scraped in zip(others, before if others else [], strict=True):
        yield from _each("management", partial(managing.look, other, scraped))


def _count(
    client: Client, sources: list[Client], before: list[counting.Scrape | None], limit: float
) -> Iterator[Finding]:
    answers = counting.ask(client)
    yield from answering.liveness(answers[-1])
    yield counting.latency(answers, limit)
    yield from counting.judge(sources, before, answers)


def _each(subject: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except NoAnswerError as reason:
        yield error(subject, f"{str(reason)[0].upper()}{str(reason)[1:]}.", "See the log of the service and its proxy.")

"""Existing applications, served with and without this library."""

from __future__ import annotations

import contextlib
import http.client
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.exposition import value
from tests.process import BIN, Server, started, wait_until

JOURNAL = "tests.applications.journal:create_app()"
ATTACHED: list[str | Path] = [BIN / "gunicorn", "-c", "python:flask_ops.gunicorn"]
"""The README's command for an application without a line of code."""
STOCK: list[str | Path] = [BIN / "gunicorn", "--worker-class=gthread", "--threads=4", "--no-control-socket"]
LOOPBACK = "--bind=127.0.0.1:0"


@contextlib.contextmanager
def attached(
    application: str,
    directory: Path,
    options: Sequence[str | Path] = (LOOPBACK,),
    env: Mapping[str, str] | None = None,
    *,
    command: Sequence[str | Path] = ATTACHED,
) -> Iterator[Server]:
    """Serve ``application`` under our Gunicorn during the block, which begins when the management address is ready."""
    with started([*command, *options, application], directory, _environ(directory, env), cwd=directory) as server:
        wait_until(lambda: is_ready(server), "readiness")
        (server.port,) = server.listening_ports() - {server.management_port}
        yield server


@contextlib.contextmanager
def served(command: Sequence[str | Path], directory: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server that is not ours during the block, which begins when the server answers a request."""
    with started(command, directory, _environ(directory, env), cwd=directory) as server:
        wait_until(lambda: _answers(server), "an answer")
        yield server


def is_ready(server: Server) -> bool:
    """Ask the management address. Raises AssertionError if the server has ended."""
    assert server.process.poll() is None, server.process.returncode
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.manage("/readyz").status == 200
    return False


def lines(server: Server) -> Counter[tuple[str, str, str]]:
    """Count the lines of requests by method, route and status."""
    return Counter((line["method"], line["route"], str(line["status"])) for line in server.lines("request"))


def counts(exposition: str) -> Counter[tuple[str, str, str]]:
    """Return the counts by method, route and status; the counter and the histogram must agree."""
    found: dict[str, Counter[tuple[str, str, str]]] = {"total": Counter(), "count": Counter()}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            name, _, kind = sample.name.rpartition("_")
            if name in {"flask_http_request", "flask_http_request_duration_seconds"} and kind in found and sample.value:
                key = sample.labels["method"], sample.labels["route"], sample.labels["status"]
                found[kind][key] += int(sample.value)
    assert found["total"] == found["count"]
    return found["total"]


def counted(server: Server) -> Counter[tuple[str, str, str]]:
    """Return the request counts of the management address."""
    return counts(server.manage("/metrics").body.decode())


def metric(server: Server, name: str, **labels: str) -> float:
    """Return a value of the metrics of the management address."""
    return value(server.manage("/metrics").body.decode(), name, **labels)


def pids(server: Server) -> set[int]:
    """Return the ids of the workers."""
    return {child.pid for child in server.children()}


def are_replaced(server: Server, before: set[int]) -> bool:
    """Return True if there are as many workers as ``before``, and all of them are others."""
    now = pids(server)
    return len(now) == len(before) and not now & before


def assert_observed(server: Server, expected: Counter[tuple[str, str, str]]) -> None:
    """Wait until all requests are over, then compare the lines and counts with the requests sent."""
    wait_until(lambda: lines(server).total() >= expected.total(), f"{expected.total()} lines")
    assert expected == lines(server)
    assert expected == counted(server)


def _environ(directory: Path, env: Mapping[str, str] | None) -> dict[str, str]:
    journal = directory / "journal"
    journal.mkdir(exist_ok=True)
    # Flask lists the methods of the Allow header in the order of a set.
    return {"JOURNAL_FOLDER": str(journal), "PYTHONHASHSEED": "0", **(env or {})}


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, server.process.returncode
    for port in server.listening_ports():
        server.port = port
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.get("/answers-at-all").status > 0
    return False

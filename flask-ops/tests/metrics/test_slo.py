"""The requests that count for the objectives, by function and by real servers."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric

from flask_ops.core.settings import Settings
from flask_ops.metrics import slo
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.metrics.scrape import from_sources
from flask_ops.metrics.slo import Objectives, Verdict, judge
from tests.exposition import value
from tests.process import DEADLINE, REPOSITORY, Server, wait_until
from tests.servers import COMMANDS, serve

OBJECTIVES = {
    "SERVICE_SLO_LATENCY": "95% < 400ms",
    "SERVICE_SLO_ROUTES": "/boom=99.95, /slow=90% < 200ms",
    "SERVICE_SLO_EXCLUDE": "/empty",
}


def test_the_verdict_depends_on_status_and_time() -> None:
    verdicts = {
        Verdict.GOOD: [(200, 0.1), (302, 0.3), (404, 0.1), (429, 0.1), (499, 0.1)],
        Verdict.SLOW: [(200, 0.31), (404, 9), (499, 0.31)],
        Verdict.FAILED: [(500, 0.1), (503, 0.1), (504, 60), (599, 0)],
        Verdict.UNTIMED: [(101, 0.1), (101, 3600)],
    }
    for verdict, requests in verdicts.items():
        for status, seconds in requests:
            assert verdict is judge(status, seconds, 0.3), (status, seconds)


class Counted:
    """The totals of a process without a store."""

    def __init__(self, **environ: str) -> None:
        settings = Settings.from_environ(environ)
        self._objectives, self._registry = Objectives(settings), CollectorRegistry()
        self.metrics = RequestMetrics(self._registry, settings)

    def reject(self, reason: str) -> None:
        Counter(
            slo.REJECTED, "As the logger of Gunicorn's workers counts.", ["reason"], registry=self._registry
        ).labels(reason).inc()

    def collect(self) -> dict[str, Metric]:
        metrics = from_sources([self._registry.collect])
        slo.add_events(metrics, self._objectives)
        return metrics

    def totals(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Return the number of events and of bad events by objective."""
        found: dict[tuple[str, str], list[float]] = {}
        for name in ("service_slo_events", "service_slo_bad_events"):
            for sample in self.collect()[name].samples:
                if sample.name.endswith("_total"):
                    found.setdefault((sample.labels["slo"], sample.labels["route"]), []).append(sample.value)
        return {key: (events, bad) for key, (events, bad) in found.items()}


ROWS: dict[str, list[tuple[str, int, float]]] = {
    "status 5xx": [("/", 500, 0.1), ("/", 503, 9.0), ("/", 599, 0.1)],
    "refused because it waited too long (`shed`)": [("shed", 503, 0.1), ("shed", 503, 1.5)],
    "answered with 503 because all threads of its worker were stuck": [("worker_stuck", 503, 0.1)],
    "refused by Gunicorn because it is invalid": [("header", 400, 0.1), ("script_name", 500, 0.1)],
    "499 after the bound": [("/", 499, 0.31)],
    "499 within the bound": [("/", 499, 0.3)],
    "101, a WebSocket": [("/", 101, 0.1), ("/", 101, 3600)],
    "any other status, within the bound": [("/", 200, 0.1), ("/", 302, 0.3), ("/", 404, 0.1), ("unmatched", 429, 0.1)],
    "any other status, after the bound": [("/", 200, 0.31), ("/", 404, 9)],
    "route of a probe or scrape": [(route, 500, 9) for route in (*slo.UNCOUNTED, "/excluded")],
}
"""The beginning of each row of the reference's table, and its requests: route, status and seconds."""


def test_the_table_of_the_reference_is_what_is_counted() -> None:
    text = (REPOSITORY / "docs" / "reference.md").read_text()
    _, _, table = text.partition("| request | availability | latency |\n|---|---|---|\n")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in table.partition("\n\n")[0].splitlines()]
    assert len(ROWS) == len(rows)
    for (request, *verdicts), (begins, requests) in zip(rows, ROWS.items(), strict=True):
        assert request.removeprefix("| ").startswith(begins)
        for route, status, seconds in requests:
            counted = Counted(SERVICE_SLO_EXCLUDE="/excluded")
            match route:
                case "shed":
                    counted.metrics.shed("late", seconds)
                case "worker_stuck" | "header" | "script_name":
                    counted.reject(route)
                case _:
                    counted.metrics.observe("GET", route, status, seconds, exception=False)
            for kind, verdict in zip(("availability", "latency"), verdicts, strict=True):
                expected = {"good": (1, 0), "bad": (1, 1), "does not count": (0, 0)}
                what = verdict.removesuffix(" |").partition(":")[0]
                assert expected[what] == counted.totals()[kind, ""], (request, route, status, seconds)


def test_refused_requests_count_as_their_routes() -> None:
    counted = Counted(SERVICE_SLO_ROUTES="/a=99.95, /b=90% < 1s", SERVICE_SLO_EXCLUDE="/c")
    for route in ("", "/a", "/b", "/c"):
        counted.metrics.shed("late", 1.5, route)
        counted.metrics.shed("overload", 0.5, route)

    assert {
        ("availability", ""): (4, 4),
        ("availability", "/a"): (2, 2),
        ("latency", ""): (0, 0),
        ("latency", "/b"): (0, 0),
    } == counted.totals()


def test_each_request_counts_for_one_objective_of_each_kind() -> None:
    counted = Counted(SERVICE_SLO_ROUTES="/a=99.95, /b=90% < 1s", SERVICE_SLO_EXCLUDE="/c")
    assert {
        ("availability", ""): (0, 0),
        ("availability", "/a"): (0, 0),
        ("latency", ""): (0, 0),
        ("latency", "/b"): (0, 0),
    } == counted.totals(), "all series exist from the start"

    for route in ("/a", "/b", "/c", "/d", "unmatched", "/healthz", "/readyz", "/livez", "/metrics"):
        for status, seconds in ((200, 0.1), (200, 0.5), (500, 0.1), (101, 9.0), (499, 2.0)):
            counted.metrics.observe("GET", route, status, seconds, exception=False)

    assert {
        ("availability", ""): (3 * 5, 3),
        ("availability", "/a"): (5, 1),
        ("latency", ""): (3 * 3, 3 * 2),
        ("latency", "/b"): (3, 1),
    } == counted.totals()


def test_time_in_a_queue_and_refused_requests_count() -> None:
    counted = Counted()
    counted.metrics.observe("GET", "/", 200, 0.1, exception=False, queued=0.19)
    counted.metrics.observe("GET", "/", 200, 0.1, exception=False, queued=0.21)
    counted.metrics.shed("late", 1.5)

    assert {("availability", ""): (3, 1), ("latency", ""): (2, 1)} == counted.totals()


def test_a_latency_bound_gets_a_bucket() -> None:
    counted = Counted(SERVICE_SLO_LATENCY="99% < 400ms", SERVICE_SLO_ROUTES="/=95% < 90s")
    counted.metrics.observe("GET", "/", 200, 0.35, exception=False)
    buckets = {
        sample.labels["le"]: sample.value
        for sample in counted.collect()["flask_http_request_duration_seconds"].samples
        if "le" in sample.labels
    }

    assert {"0.3": 0.0, "0.4": 1.0, "0.5": 1.0, "90.0": 1.0} == {
        le: buckets[le] for le in ("0.3", "0.4", "0.5", "90.0")
    }


def scraped(server: Server) -> str:
    return server.manage("/metrics").body.decode()


def counts(server: Server) -> dict[tuple[str, str], tuple[float, float]]:
    text = scraped(server)
    return {
        key: (
            value(text, "service_slo_events_total", slo=key[0], route=key[1]),
            value(text, "service_slo_bad_events_total", slo=key[0], route=key[1]),
        )
        for key in [("availability", ""), ("availability", "/boom"), ("latency", ""), ("latency", "/slow")]
    }


def ask(server: Server) -> None:
    """Send 2 good requests, 2 that fail, 2 that are slow for their route, and some that do not count."""
    for path in ("/whoami", "/boom", "/slow?s=0.25"):
        server.get(path)
        server.get(path)
    for path in ("/healthz", "/readyz", "/metrics", "/empty"):
        server.get(path)


def expected(rounds: int) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        ("availability", ""): (4 * rounds, 0),
        ("availability", "/boom"): (2 * rounds, 2 * rounds),
        ("latency", ""): (2 * rounds, 0),
        ("latency", "/slow"): (2 * rounds, 2 * rounds),
    }


@pytest.mark.system
@pytest.mark.parametrize("name", COMMANDS)
def test_every_server_counts_and_tells_its_objectives(name: str, tmp_path: Path) -> None:
    env = {**OBJECTIVES, "SERVICE_TEAM": "shop", "SERVICE_RUNBOOK_URL": "https://wiki.example.org/runbook"}
    env |= {"SERVICE_TRUSTED_PROXIES": "1", "SERVICE_QUEUE_SECONDS": "0"}
    with serve(name, tmp_path, env, ready="/readyz") as server:
        assert expected(0) == counts(server)
        ask(server)
        wait_until(lambda: expected(1) == counts(server), "the requests", 10)
        text = scraped(server)
        for (kind, route), ratio in {
            ("availability", ""): 0.999,
            ("availability", "/boom"): 0.9995,
            ("latency", ""): 0.95,
            ("latency", "/slow"): 0.9,
        }.items():
            assert ratio == value(text, "service_slo_objective_ratio", slo=kind, route=route)
        assert 0.4 == value(text, "service_slo_latency_bound_seconds", slo="latency", route="")
        assert 0.2 == value(text, "service_slo_latency_bound_seconds", slo="latency", route="/slow")
        labels = {"team": "shop", "runbook_url": "https://wiki.example.org/runbook"}
        assert 1 == value(text, "service_owner_info", **labels)

        assert not server.lines("unknown routes in objectives")
        server.request("GET", "/whoami", {"X-Request-Start": f"t={time.time() - 5:.3f}"})
        wait_until(lambda: counts(server)["latency", ""] == (3, 1), "the time in the proxy's queue", 10)


@pytest.mark.system
def test_a_route_that_the_application_lacks_is_reported(tmp_path: Path) -> None:
    """Its objective would be silently useless."""
    env = {"SERVICE_SLO_ROUTES": "/boom=99, /bom=99, unmatched=99", "SERVICE_SLO_EXCLUDE": "/emty"}
    env["WEB_CONCURRENCY"] = "1"  # each worker reports it
    with serve("gunicorn", tmp_path, env, ready="/readyz") as server:
        line = server.line("unknown routes in objectives")

        assert ("warning", ["/bom", "/emty"]) == (line["level"], line["routes"])


@pytest.mark.system
def test_counts_are_exact_over_reload_recycling_and_kill_9(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, OBJECTIVES, ["--max-requests=7"], ready="/readyz") as server:

        def agree(rounds: int) -> bool:
            return expected(rounds) == counts(server)

        for number in range(4):
            ask(server)
            if number == 1:
                server.process.send_signal(signal.SIGHUP)
            wait_until(partial(agree, number + 1), f"round {number + 1}", 20)
            if number == 2:
                worker = psutil.Process(server.process.pid).children()[0]
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait(DEADLINE)
                wait_until(lambda: server.manage("/readyz").status == 200, "another worker", 20)

"""Measurements besides requests, and the ceiling on the series that clients can create."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import random
import socket
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.copies import copy_service
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, Server, running, wait_until
from tests.programs import require
from tests.servers import serve

pytestmark = pytest.mark.system

URLS = int(os.environ.get("SCANNED_URLS", "2000"))
METHODS = int(os.environ.get("SCANNED_METHODS", "200"))
GROWTH_BYTES = 16 * 1024 * 1024


def series(text: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ask_meanwhile(server: Server, path: str, count: int) -> list[threading.Thread]:
    def ask() -> None:
        with contextlib.suppress(OSError):
            server.get(path)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.timeout(3600)
def test_a_scanner_makes_no_series_and_the_service_does_not_grow(tmp_path: Path) -> None:
    env = {"SERVICE_LOG_LEVEL": "error", "WEB_CONCURRENCY": "1"}
    with serve("gunicorn", tmp_path, env, ready="/readyz") as server:
        for _ in range(200):
            server.get("/nope")
        for path in ("/", "/nope"):
            server.request("BREW", path)

        def counted(**labels: str) -> float:
            return value(scrape(server), "flask_http_request_total", **labels)

        wait_until(lambda: counted(method="OTHER") == 2 and counted(route="/metrics"), "the first ones are counted")
        before, memory = series(scrape(server)), resident(server)
        generator = random.Random(3)  # noqa: S311 - reproducible noise
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client,
            cast("IO[bytes]", client.makefile("rb", buffering=65536)) as answers,
        ):
            for number in range(URLS):
                method = f"METHOD{number}" if number < METHODS else "GET"
                noise = generator.randbytes(12).hex()
                client.sendall(
                    f"{method} /{noise}/{number}.php?{noise}={noise} HTTP/1.1\r\nHost: {noise}.example\r\n"
                    f"User-Agent: {noise}\r\nX-{noise}: {noise}\r\nX-Request-ID: {noise}\r\n"
                    f"X-Request-Start: {noise}\r\nX-Forwarded-For: {noise}\r\n\r\n".encode()
                )
                skip_answer(answers)

        assert before == series(scrape(server))
        grown = resident(server) - memory
        print(f"{URLS} unknown URLs, {METHODS} methods: 0 series, {grown / 1024:.0f} KiB")  # noqa: T201 - quoted
        assert grown < GROWTH_BYTES


METHODS_KNOWN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
MAX_SERIES_ADDED = 900
"""The README's ceiling on the series that clients can add to the service."""


def test_what_clients_send_adds_series_up_to_a_ceiling(tmp_path: Path) -> None:
    """The service has `/` and its probes. Each route's series with value 0 exist before."""
    env = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1"}
    with running([BIN / "gunicorn"], tmp_path, env, cwd=copy_service(tmp_path / "copy"), ready="/readyz") as server:
        fresh = series(server.manage("/metrics").body.decode())
        seen = []
        for suffix in ("", "again"):
            for method in [*METHODS_KNOWN, f"METHOD{suffix}"]:
                for path in ("/", "/healthz", "/readyz", "/metrics", f"/nope{suffix}", f"/readyz?exclude={suffix}x"):
                    for headers in ({}, {"Content-Length": "99999999"}, {"Range": "bytes=9-"}, {"If-Match": suffix}):
                        with contextlib.suppress(OSError, http.client.HTTPException):
                            server.request(method, path, headers)
            wait_until(partial(has_settled, server), "all requests are counted")
            seen.append(series(server.manage("/metrics").body.decode()))

        assert seen[0] == seen[1]
        print(f"of {len(fresh)} series at the start, clients have made {len(seen[0])}")  # noqa: T201 - quoted
        assert len(seen[0] - fresh) < MAX_SERIES_ADDED


def has_settled(server: Server) -> bool:
    text = server.manage("/metrics").body.decode()
    return value(text, "service_requests_in_flight") == 0


def skip_answer(answers: IO[bytes]) -> None:
    length = 0
    while line := answers.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    answers.read(length)


def resident(server: Server) -> int:
    return sum(process.memory_info().rss for process in server.children())


def test_the_first_error_of_a_route_is_seen_as_an_increase(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        wait_until(lambda: 'route="/boom"' in scrape(server), "the routes")
        known = series(scrape(server))
        names = [
            *(("flask_http_request_total", status) for status in ("500", "502", "503", "504")),
            ("flask_http_request_exceptions_total", "500"),
        ]
        # A route has no other series before its first request: an application may have a thousand routes.
        assert {
            (name, frozenset({("method", "GET"), ("route", "/boom"), ("status", status)})) for name, status in names
        } == {each for each in known if ("route", "/boom") in each[1]}
        # The first slow request of any route.
        assert ("service_slo_bad_events_total", frozenset({("slo", "latency"), ("route", "")})) in known
        assert 0 == value(scrape(server), "flask_http_request_total", route="/boom")
        assert 0 == value(scrape(server), "service_slo_bad_events_total")


def test_the_exporters_gauge_is_a_sum_over_the_workers_that_live(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"WEB_CONCURRENCY": "2"}) as server:
        threads = ask_meanwhile(server, f"/occupied?s=60&until={tmp_path}/never", 4)
        text = wait_until(partial(_occupied, server, 4), "four are being served")
        assert {"sample_occupied 4.0"} == {line for line in text.splitlines() if line.startswith("sample_occupied")}
        for child in server.children():
            child.kill()
        wait_until(partial(_occupied, server, 0), "none any more")
        for thread in threads:
            thread.join(DEADLINE)


def _occupied(server: Server, count: int) -> str:
    text = server.manage("/metrics").body.decode()
    return text if value(text, "sample_occupied") == count else ""


def test_capacity_is_what_the_server_was_told(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, options=["--threads=3"]) as server:
        wait_until(lambda: value(scrape(server), "service_worker_threads") == 6, "two workers of three threads")
        assert 2 == value(scrape(server), "service_workers")


@pytest.mark.parametrize(("name", "options"), [("gunicorn", ["--worker-connections=1"]), ("uwsgi", [])])
def test_the_accept_queue_is_seen(name: str, options: list[str], tmp_path: Path) -> None:
    """This worker takes one connection at a time; the other connections wait in the kernel."""
    with serve(name, tmp_path, {"WEB_CONCURRENCY": "1", "SERVICE_THREADS": "1"}, options) as server:

        def queue() -> float:
            return value(server.manage("/metrics").body.decode(), "service_accept_queue_length")

        assert 0 == queue()
        release = tmp_path / "release"
        threads = ask_meanwhile(server, f"/slow?s=60&until={release}", 4)
        wait_until(lambda: queue() == 3, "three wait")
        assert value(server.manage("/metrics").body.decode(), "service_accept_queue_limit") >= 100
        release.touch()
        for thread in threads:
            thread.join(DEADLINE)


@pytest.mark.parametrize(("proxies", "waited"), [("1", 30), ("0", 0)])
def test_the_time_in_a_trusted_proxy_is_observed(proxies: str, waited: int, tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_TRUSTED_PROXIES": proxies}) as server:
        before = scrape(server)
        server.get("/", {"X-Request-Start": f"t={time.time() - 30:.3f}", "X-Request-ID": "from-a-proxy"})
        server.get("/", {"X-Request-Start": "nonsense"})
        wait_until(lambda: len(server.lines("request", route="/")) == 2, "both lines")

        text = scrape(server)
        name = "service_request_queue_seconds"
        assert 2 <= value(text, f"{name}_count") - value(before, f"{name}_count")
        assert waited <= value(text, f"{name}_sum") - value(before, f"{name}_sum") < waited + 20
        line = server.line("request", request_id="from-a-proxy")
        assert 200 == line["status"]  # the socket decides, not the clock of a proxy
        assert 1000 * waited <= line.get("queue_ms", 0) < 1000 * waited + 20_000


def test_garbage_collections_only_grow_though_workers_come_and_go(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        before = value(scrape(server), "python_gc_collections_total", generation="0")
        assert before > 0
        for child in server.children():
            child.kill()
        for _ in range(20):
            with contextlib.suppress(OSError):
                assert value(scrape(server), "python_gc_collections_total", generation="0") >= before


def test_a_scrape_can_be_compressed_and_restricted(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        for ask in (server.get, server.manage):
            plain = ask("/metrics")
            packed = ask("/metrics", headers={"Accept-Encoding": "gzip"})
            assert "gzip" == packed.headers["Content-Encoding"]
            assert b"# TYPE service_workers gauge" in gzip.decompress(packed.body)
            assert len(packed.body) * 3 < len(plain.body)

            some = ask("/metrics?name[]=service_workers&name[]=process_cpu_seconds_total").body.decode()
            assert {"service_workers", "process_cpu_seconds"} == {f.name for f in text_string_to_metric_families(some)}
            assert b"" == ask("/metrics?name[]=no_such_metric").body


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
def test_promtool_finds_nothing(name: str, tmp_path: Path) -> None:
    promtool = require("promtool")
    with serve(name, tmp_path) as server:
        for path in ("/", "/boom", "/nope", "/log"):
            server.get(path)
        text = "\n".join(line for line in scrape(server).splitlines() if "sample_" not in line) + "\n"

    checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (0, "") == (checked.returncode, checked.stdout + checked.stderr)

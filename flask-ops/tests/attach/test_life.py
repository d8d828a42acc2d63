"""The life of an application that does not use this library: drain, reload, recycling, replacement of workers."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.attach.servers import JOURNAL, LOOPBACK, are_replaced, assert_observed, attached, lines, metric, pids
from tests.process import DEADLINE, end_drain, wait_until
from tests.threads import meanwhile


def test_the_management_address_shows_health_and_metrics(tmp_path: Path) -> None:
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "2", "--threads", "3"]) as server:
        assert 200 == server.manage("/livez").status
        assert {"status": "ok"} == server.manage("/readyz").json()
        # Series with the value 0 are expected from the start.
        assert 0 == metric(server, "flask_http_request_total", route="/odd/file", status="500")
        assert 'route="/odd/file",status="500"' in server.manage("/metrics").body.decode()
        wait_until(lambda: metric(server, "service_worker_threads") == 6, "all threads")
        assert {404} == {server.get(path).status for path in ("/livez", "/healthz", "/readyz", "/metrics")}


def test_sigterm_drains_before_it_stops(tmp_path: Path) -> None:
    until = tmp_path / "until"
    with attached(JOURNAL, tmp_path, env={"SERVICE_DRAIN_SECONDS": "60"}) as server, ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(server.get, f"/odd/wait?until={until}")
        wait_until((tmp_path / "waiting-").exists, "a request in flight")

        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.manage("/readyz").status == 503, "the end of readiness")
        assert {"status": "draining"} == server.manage("/readyz").json()
        assert 200 == server.manage("/livez").status
        assert 200 == server.get("/").status

        end_drain(server, signal.SIGTERM)
        until.touch()
        assert b"waited" == in_flight.result(DEADLINE).body
        assert 0 == server.process.wait(DEADLINE)
        assert Counter({("GET", "/odd/wait", "200"): 1, ("GET", "/", "200"): 1}) == lines(server)


def test_a_reload_loses_no_request_and_no_count(tmp_path: Path) -> None:
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses[server.get("/").status] += 1

    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "2"]) as server:
        before = pids(server)
        with meanwhile([ask], over):
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: are_replaced(server, before), "new workers")

        assert {200} == set(statuses)
        assert_observed(server, Counter({("GET", "/", "200"): statuses[200]}))
        assert 2 == metric(server, "service_worker_exits_total", reason="reload")


def test_recycled_workers_lose_no_request_and_no_count(tmp_path: Path) -> None:
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "2", "--max-requests", "15"]) as server:
        with ThreadPoolExecutor(4) as pool:
            statuses = Counter(answer.status for answer in pool.map(lambda _: server.get("/"), range(150)))

        assert {200: 150} == statuses
        assert_observed(server, Counter({("GET", "/", "200"): 150}))
        wait_until(lambda: metric(server, "service_worker_exits_total", reason="recycled") > 2, "recycled workers")


def test_a_worker_with_all_threads_stuck_is_replaced(tmp_path: Path) -> None:
    never = tmp_path / "never"
    options = [LOOPBACK, "-w", "1", "--threads", "2"]
    with attached(JOURNAL, tmp_path, options, {"SERVICE_REQUEST_TIMEOUT": "0.5"}) as server:
        before = pids(server)
        with ThreadPoolExecutor(2) as pool:
            stuck = [pool.submit(server.get, f"/odd/wait?until={never}") for _ in range(2)]
            wait_until(lambda: are_replaced(server, before), "another worker")
            assert all(request.exception(DEADLINE) is not None for request in stuck)

        assert 200 == server.get("/").status
        assert_observed(server, Counter({("GET", "/odd/wait", "500"): 2, ("GET", "/", "200"): 1}))
        assert 1 == metric(server, "service_worker_exits_total", reason="stuck")

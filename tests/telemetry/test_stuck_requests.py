"""Requests that take too long are reported once; a worker that has no other ones is replaced."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exposition import value
from tests.process import DEADLINE, Server, wait_until
from tests.servers import serve

SOON = {"SERVICE_REQUEST_TIMEOUT": "0.5"}


def metric(server: Server, name: str, **labels: str) -> float:
    return value(server.manage("/metrics").body.decode(), name, **labels)


@contextmanager
def asking(server: Server, path: str) -> Iterator[list[int]]:
    """Ask in the background; the list has the status of the answer, 0 where there is none."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(server.get(path).status)
        except OSError:
            statuses.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        thread.join(DEADLINE)


@pytest.mark.parametrize("name", ["gunicorn", "waitress-serve", "uwsgi"])
def test_it_is_reported_once_with_its_stack_and_goes_on(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, SOON) as server:
        release = tmp_path / "release"
        with asking(server, f"/slow?s=60&until={release}") as statuses:
            report = server.line("request is stuck")
            wait_until(lambda: metric(server, "service_requests_stuck") == 1, "the gauge")
            release.touch()

        assert [200] == statuses
        assert ("GET", "/slow") == (report["method"], report["route"])
        assert 0.5 <= report["elapsed_seconds"] < 2
        assert ("sample.py", "slow") == (Path(report["stack"][-1]["file"]).name, report["stack"][-1]["function"])
        line = server.line("request", route="/slow")
        assert (True, 200, report["request_id"]) == (line["timed_out"], line["status"], line["request_id"])
        assert 1 == len(server.lines("request is stuck"))
        assert 1 == metric(server, "service_requests_timed_out_total")
        wait_until(lambda: metric(server, "service_requests_stuck") == 0, "the gauge")
        assert "timed_out" not in server.line("request", route="/healthz", status=200)


@pytest.mark.parametrize("name", ["gunicorn", "gunicorn-sync"])
def test_a_worker_whose_threads_are_all_stuck_is_replaced(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, {**SOON, "SERVICE_THREADS": "1", "SERVICE_LOG_LEVEL": "info"}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        with asking(server, "/slow?s=3600") as statuses:
            lost = server.line("worker is stuck and is replaced")
            wait_until(lambda: metric(server, "service_worker_exits_total", reason="stuck") == 1, "the metric")

        assert [0] == statuses
        (request,) = lost["requests_lost"]
        assert "/slow" == request["route"]
        assert ("stuck", "SIGKILL") == tuple(server.line("worker ended")[key] for key in ("reason", "signal"))
        line = server.line("request", request_id=request["request_id"])
        assert ("aborted", 500, True) == (line["outcome"], line["status"], line["timed_out"])
        assert 1 == metric(server, "flask_http_request_total", route="/slow", status="500")
        wait_until(lambda: metric(server, "service_workers") == 2, "a successor")
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        assert 0 == metric(server, "service_requests_stuck")
        wait_until(lambda: metric(server, "service_requests_in_flight") == 0, "nothing is left of it")


def test_a_free_thread_keeps_a_worker_alive(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {**SOON, "SERVICE_THREADS": "2"}, ["--workers=1"]) as server:
        release = tmp_path / "release"
        with asking(server, f"/slow?s=60&until={release}") as statuses:
            server.line("request is stuck")
            assert 200 == server.get("/whoami").status
            release.touch()

        assert [200] == statuses
        assert [] == server.lines("worker ended")


def test_a_sync_worker_that_gunicorn_ends_says_what_it_was_doing(tmp_path: Path) -> None:
    with serve("gunicorn-sync", tmp_path, options=["--timeout=1"]) as server:
        with asking(server, "/slow?s=3600"):
            report = server.line("request is stuck")
            line = server.line("request", route="/slow")

        assert "slow" in [frame["function"] for frame in report["stack"]]
        assert ("aborted", report["request_id"]) == (line["outcome"], line["request_id"])
        assert "timeout" == server.line("worker ended")["reason"]
        assert 1 == metric(server, "service_requests_timed_out_total")


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "signal"), (signal.SIGSEGV, "crash"), (signal.SIGSTOP, "timeout")]
)
def test_a_worker_that_ends_otherwise_is_one_line_and_one_count(
    number: signal.Signals, reason: str, tmp_path: Path
) -> None:
    with serve("gunicorn", tmp_path, options=["--timeout=2"]) as server:
        victim = server.children()[0].pid
        os.kill(victim, number)

        line = server.line("worker ended")

        assert (victim, reason, "error") == (line["worker_pid"], line["reason"], line["level"])
        assert 1 == metric(server, "service_worker_exits_total", reason=reason)
        wait_until(lambda: metric(server, "service_workers") == 2, "a successor")

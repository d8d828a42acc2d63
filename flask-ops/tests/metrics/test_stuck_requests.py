"""Requests that take too long are reported once. A worker with only such requests is replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.connections import connected, whole_response
from tests.exposition import value
from tests.process import DEADLINE, Server, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

SOON = {"SERVICE_REQUEST_TIMEOUT": "0.5"}


def metric(server: Server, name: str, **labels: str) -> float:
    return value(server.manage("/metrics").body.decode(), name, **labels)


@contextmanager
def asking(server: Server, path: str, **headers: str) -> Iterator[list[int]]:
    """Send a request in the background. The list gets the status of the answer, or 0 without an answer."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(server.get(path, headers).status)
        except OSError:
            statuses.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        thread.join(DEADLINE)


def wait_for(server: Server, event: str, count: int, **fields: str) -> list[dict[str, Any]]:
    """Wait for ``count`` lines with this event."""

    def found() -> list[dict[str, Any]]:
        lines = server.lines(event, **fields)
        return lines if len(lines) >= count else []

    return wait_until(found, f"{count} lines with {event}")


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
def test_it_is_reported_once_with_its_stack_and_goes_on(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path, SOON) as server:
        release = tmp_path / "release"
        with asking(server, f"/slow?s=60&until={release}") as statuses:
            report = server.line("request is stuck")
            wait_until(lambda: metric(server, "service_requests_stuck") == 1, "the gauge")
            assert 1 == metric(server, "service_requests_in_flight")
            release.touch()

        assert [200] == statuses
        assert ("GET", "/slow") == (report["method"], report["route"])
        assert 0.5 <= report["elapsed_seconds"] < DEADLINE / 2
        assert ("sample.py", "slow") == (Path(report["stack"][-1]["file"]).name, report["stack"][-1]["function"])
        line = server.line("request", route="/slow")
        assert (True, 200, report["request_id"]) == (line["timed_out"], line["status"], line["request_id"])
        assert 1 == len(server.lines("request is stuck"))
        assert 1 == metric(server, "service_requests_timed_out_total")
        wait_until(lambda: metric(server, "service_requests_stuck") == 0, "the gauge")
        assert "timed_out" not in server.line("request", route="/healthz", status=200)


def test_a_client_that_asks_for_another_protocol_gets_no_exemption(tmp_path: Path) -> None:
    """curl --http2 sends these headers with every request. Only a WebSocket may last."""
    release = tmp_path / "release"
    with (
        serve("gunicorn", tmp_path, SOON) as server,
        asking(server, f"/slow?s=60&until={release}", Upgrade="h2c", Connection="Upgrade"),
    ):
        server.line("request is stuck")
        release.touch()


def test_a_worker_whose_threads_are_all_stuck_is_replaced(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {**SOON, "SERVICE_THREADS": "1", "SERVICE_LOG_LEVEL": "info"}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        with asking(server, "/slow?s=3600") as statuses:
            lost = server.line("replacing worker: all threads stuck")
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


def test_a_view_that_asks_its_own_application_does_not_hinder_the_replacement(tmp_path: Path) -> None:
    """The inner request does not come through the server."""
    with serve("gunicorn", tmp_path, {**SOON, "SERVICE_THREADS": "1", "WEB_CONCURRENCY": "1"}) as server:
        assert 200 == server.get("/inner").status
        with asking(server, "/slow?s=3600"):
            server.line("replacing worker: all threads stuck")


def test_what_a_client_saw_is_what_its_line_says(tmp_path: Path) -> None:
    """Requests end while their worker is being replaced. Each is either answered or aborted, never both."""
    options = ["--workers=1", "--threads=3"]
    with serve("gunicorn", tmp_path, {**SOON, "SERVICE_LOG_LEVEL": "info"}, options) as server:
        for count in (1, 2, 3):
            wait_until(lambda: server.get("/readyz").status == 200, "ready")
            before = len(server.lines("request", route="/slow"))
            with contextlib.ExitStack() as stack:
                seen = [stack.enter_context(asking(server, "/slow?s=3600"))]
                while len(server.lines("worker ended")) < count:
                    with asking(server, "/slow?s=1.3") as first, asking(server, "/slow?s=1.6") as second:
                        seen += [first, second]
            lines = wait_for(server, "request", before + len(seen), route="/slow")[before:]

            assert sorted(status for (status,) in seen) == sorted(0 if "outcome" in line else 200 for line in lines)
            named = {
                lost["request_id"] for lost in server.lines("replacing worker: all threads stuck")[-1]["requests_lost"]
            }
            assert named == {line["request_id"] for line in lines if line.get("outcome") == "aborted"}


def test_waiting_connections_of_a_replaced_worker_are_answered_and_counted(tmp_path: Path) -> None:
    """The successor serves those that are not accepted yet."""
    env = {"SERVICE_REQUEST_TIMEOUT": "2", "SERVICE_LOG_LEVEL": "info"}
    with (
        serve("gunicorn", tmp_path, env, ["--workers=1", "--threads=1"]) as server,
        connected(server, 3) as kept,
        contextlib.ExitStack() as stack,
    ):
        lost = stack.enter_context(asking(server, "/slow?s=3600"))
        server.line("slow view")
        for client in kept:
            client.sendall(b"GET /whoami HTTP/1.1\r\nHost: test\r\n\r\n")
        new = stack.enter_context(asking(server, "/whoami"))

        report = server.line("replacing worker: all threads stuck")
        assert [503] * 3 == [whole_response(client).status for client in kept]
        wait_until(lambda: [[0], [200]] == [lost, new], "all have an answer")

        assert (1, 3) == (len(report["requests_lost"]), report["connections_refused"])
        assert [503] * 3 == [line["status"] for line in server.lines("request rejected", reason="worker_stuck")]
        assert 3 == metric(server, "service_requests_rejected_total", reason="worker_stuck")
        assert 1 + 3 == metric(server, "service_slo_bad_events_total", slo="availability")
        assert 1 + 3 + 1 <= metric(server, "service_slo_events_total", slo="availability")


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="the platform has no signal for it")
def test_a_request_that_lets_no_other_code_run_is_told_with_its_stack(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, options=["--timeout=2"]) as server:
        with asking(server, "/backtrack") as statuses:
            (stack,) = server.line("replacing unresponsive worker")["stacks"]

        assert [0] == statuses
        assert ("sample.py", "backtrack") in [(Path(frame["file"]).name, frame["function"]) for frame in stack]
        assert ("timeout", "SIGKILL") == tuple(server.line("worker ended")[key] for key in ("reason", "signal"))
        assert 1 == metric(server, "service_requests_timed_out_total")


def test_a_free_thread_keeps_a_worker_alive(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {**SOON, "SERVICE_THREADS": "2"}, ["--workers=1"]) as server:
        release = tmp_path / "release"
        with asking(server, f"/slow?s=60&until={release}") as statuses:
            server.line("request is stuck")
            assert 200 == server.get("/whoami").status
            release.touch()

        assert [200] == statuses
        assert [] == server.lines("worker ended")


def test_a_worker_that_gunicorn_aborts_says_what_it_was_doing(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, options=["--workers=1"]) as server:
        (worker,) = server.children()
        with asking(server, "/slow?s=3600"):
            server.line("slow view")
            worker.send_signal(signal.SIGABRT)
            report = server.line("request is stuck")
            line = server.line("request", route="/slow")

        assert "slow" in [frame["function"] for frame in report["stack"]]
        assert (500, "aborted", "error") == (line["status"], line["outcome"], line["level"])
        assert report["request_id"] == line["request_id"]
        server.line("worker ended")
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

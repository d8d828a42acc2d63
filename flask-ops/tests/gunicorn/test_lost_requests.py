"""No request is lost under any combination of signals: with keep-alive, with close, and with long requests."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from tests.exposition import scrape, value
from tests.load import load
from tests.process import DEADLINE, Server, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

ROUNDS = int(os.environ.get("ROUNDS", "2"))
ENV = {"SERVICE_LOG_LEVEL": "info", "SERVICE_QUEUE_SECONDS": "0"}
"""A worker that serves alone for a moment is overloaded."""
SHORT, LONG = "/slow?s=0.01", "/slow?s=1.5"


def exits(server: Server, reason: str) -> float:
    return value(scrape(server), "service_worker_exits_total", reason=reason)


def test_reloads_while_workers_are_recycled(tmp_path: Path) -> None:
    options = ["--max-requests=40", "--max-requests-jitter=20"]
    with serve("gunicorn", tmp_path, ENV, options) as server:
        with load(server, SHORT, LONG) as seen:
            for number in range(1, ROUNDS + 1):
                recycled = exits(server, "recycled")
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: len(server.lines("Hang up: Master")) == number, "a reload")  # noqa: B023 - called at once
                wait_until(lambda: exits(server, "recycled") > recycled, "a worker that was recycled")  # noqa: B023 - called at once

        assert {200} == set(seen), seen
        assert 0 == server.stop()


@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_to_the_master_and_each_worker(times: int, tmp_path: Path) -> None:
    """Supervisors do this when they signal a whole process group. Heroku does it several times within 0.3 s."""
    with serve("gunicorn", tmp_path, {**ENV, "SERVICE_DRAIN_SECONDS": "3"}) as server:
        with load(server, SHORT, LONG) as seen:
            for _ in range(times):
                for pid in [server.process.pid, *(child.pid for child in server.children())]:
                    os.kill(pid, signal.SIGTERM)
                wait_until(
                    lambda: server.lines("draining"), "the first signal was seen, so that the next is another one"
                )
            assert 0 == server.process.wait(DEADLINE)

        assert {200} == set(seen), seen
        began, ended = (datetime.fromisoformat(server.line(event)["timestamp"]) for event in ("draining", "stopping"))
        assert (
            server.line("draining")["seconds"] <= (ended - began).total_seconds() + 0.1
        )  # the lines are written later
        assert 0 == server.line("stopped")["requests_unfinished"]
        assert {"shutdown"} == {line["reason"] for line in server.lines("worker ended")}
        assert [] == [line for line in server.lines() if line["level"] in {"error", "critical"}]


def test_a_stop_and_a_reload_under_overload_answer_every_request(tmp_path: Path) -> None:
    """Forty clients for one thread: most are refused, but each gets an answer."""
    env = {**ENV, "WEB_CONCURRENCY": "1", "SERVICE_THREADS": "1", "SERVICE_QUEUE_SECONDS": "0.5"}
    with serve("gunicorn", tmp_path, env) as server:
        with load(server, *[SHORT] * 10) as seen:
            wait_until(lambda: value(scrape(server), "service_requests_shed_total"), "requests are refused")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: exits(server, "reload"), "the old worker has ended")
            assert 0 == server.stop()

        assert {200, 503} == set(seen), seen
        assert 0 == server.line("stopped")["requests_unfinished"]

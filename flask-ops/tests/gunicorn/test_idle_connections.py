"""Connections that wait for a request. Load balancers keep many of them, for minutes."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from flask_ops.servers.gunicorn.idle_connections import IdleConnections, KeepingWorker
from tests.connections import ask, connected, is_open, open_ones
from tests.exposition import scrape, value
from tests.process import wait_until
from tests.servers import serve

pytestmark = pytest.mark.system


def test_idle_connections_stay_open_and_hold_no_thread(tmp_path: Path) -> None:
    with (
        serve("gunicorn", tmp_path) as server,  # it has 8 threads
        connected(server, 100, silent=True) as silent,
        connected(server, 200) as idle,
    ):
        began = time.monotonic()
        with connected(server, 20):
            pass
        assert time.monotonic() - began < 5  # Gunicorn waits so long for the first request, in a thread
        assert (100, 200) == (open_ones(silent), open_ones(idle))
        for client in [*silent, *idle]:
            ask(client)


def test_the_connection_that_is_idle_longest_makes_room(tmp_path: Path) -> None:
    # One thread, so that connections become idle in the order of their requests.
    options = ["--workers=1", "--threads=1", "--worker-connections=8"]
    with serve("gunicorn", tmp_path, options=options) as server, connected(server, 8) as idle:
        ask(idle[0])
        with connected(server, 3):
            wait_until(lambda: 5 == open_ones(idle), "three are closed")
            assert [True, False, False, False, True, True, True, True] == list(map(is_open, idle))
            with connected(server, 12, silent=True), connected(server, 1):
                assert 0 == open_ones(idle)


def test_a_connection_is_closed_when_it_is_idle_too_long(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_KEEP_ALIVE_SECONDS": "3"}, ["--workers=1"], ready="/readyz") as server:
        (worker,) = server.children()
        descriptors = worker.num_fds()
        with connected(server, 15) as idle:
            began = time.monotonic()
            assert descriptors < worker.num_fds()
            wait_until(lambda: open_ones(idle) < 15, "one is closed")
            assert 2.5 < time.monotonic() - began  # Gunicorn itself closes them after two
            wait_until(lambda: 0 == open_ones(idle), "all are closed")
            wait_until(lambda: worker.num_fds() <= descriptors, "no descriptor is left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_idle_connections_delay_no_stop(number: int, tmp_path: Path) -> None:
    with (
        serve("gunicorn", tmp_path) as server,
        connected(server, 100),
        connected(server, 100, silent=True),
    ):
        began = time.monotonic()
        assert 0 == server.stop(number)

    assert time.monotonic() - began < 15  # SERVICE_GRACEFUL_SECONDS is 30


@pytest.mark.parametrize("at_once", [1, 8], ids=["one after the other", "at once"])
def test_no_request_waits_in_one_worker_while_another_has_a_free_thread(at_once: int, tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, ready="/readyz") as server:
        wait_until(lambda: value(scrape(server), "service_worker_threads") == 8, "both workers serve")
        served = 0
        for turn in range(5):
            release = tmp_path / f"release-{turn}"
            with ThreadPoolExecutor(8) as clients:
                answers = []
                try:
                    for _ in range(0, 8, at_once):
                        answers += [clients.submit(server.get, f"/slow?s=60&until={release}") for _ in range(at_once)]
                        served += at_once
                        wait_until(lambda: len(server.lines("slow view")) == served, "all are being served")  # noqa: B023 - called at once
                finally:
                    release.touch()
            assert [200] * 8 == [answer.result().status for answer in answers]


class Worker(KeepingWorker):
    """A worker with four threads, without processes and sockets."""

    cfg = Mock(threads=4)
    lingering = Mock()
    _share, _limit = 20, 500

    def __init__(self, connections: int, *, is_overloaded: bool = False) -> None:
        self.nr_conns = connections
        self.admission = Mock(is_overloaded=is_overloaded)
        self.keepalived_conns = IdleConnections()
        self._expected = {}
        self.limits: list[int] = []

    def collect(self) -> None:
        """Do nothing: no connection has a request."""

    def accept_up_to(self, limit: int, _listener: object) -> None:
        """Note the limit."""
        self.limits.append(limit)


def test_a_busy_worker_accepts_again_as_soon_as_a_thread_is_free() -> None:
    """Otherwise clients with one request per connection would wait for 20 ms again and again."""
    worker = Worker(4)
    worker.accept(None)
    worker.murder_keepalived()
    assert ([], 0) == (worker.limits, worker.worker_connections)

    worker.nr_conns = 3
    for _ in range(2):
        worker.murder_keepalived()
        assert worker.worker_connections > 0
        worker.accept(None)
    assert [4, 4] == worker.limits


def test_an_overloaded_worker_with_a_free_thread_accepts_at_once() -> None:
    worker = Worker(3, is_overloaded=True)
    worker.accept(None)

    assert [4] == worker.limits


def test_of_overloaded_workers_the_one_with_the_fewest_connections_accepts_first() -> None:
    """Otherwise a proxy that keeps them would send most requests to one worker, after the overload too."""
    workers = [Worker(connections, is_overloaded=True) for connections in (40, 200, 450)]
    for worker in workers:
        worker.accept(None)
    assert [[]] * 3 == [worker.limits for worker in workers]
    assert [40, 200, 450] == [worker.nr_conns for worker in sorted(workers, key=lambda each: each._gives_way_until)]

    for worker in workers:
        worker.accept(None)
    assert [[140], [300], [500]] == [worker.limits for worker in workers]

"""Connections that wait for a request. Load balancers keep many of them, for minutes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.connections import ask, connected, is_open, open_ones
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

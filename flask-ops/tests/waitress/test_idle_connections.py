"""Connections that wait for a request. Load balancers keep many of them, for minutes."""

from __future__ import annotations

from pathlib import Path

from tests.connections import ask, connected, is_open, open_ones
from tests.process import running, wait_until
from tests.servers import waitress


def test_the_connection_that_is_idle_longest_makes_room(tmp_path: Path) -> None:
    """Waitress counts the listening socket and an internal one too."""
    with (
        running(waitress(connection_limit=12), tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}) as server,
        connected(server, 4, silent=True) as silent,
        connected(server, 5) as idle,
    ):
        assert (4, 5) == (open_ones(silent), open_ones(idle))
        ask(idle[0])
        with connected(server, 7):
            wait_until(lambda: open_ones(idle) <= 3, "new connections replace the oldest")
            assert 0 == open_ones(silent)
            assert is_open(idle[0])


def test_a_connection_is_closed_when_it_is_idle_too_long(tmp_path: Path) -> None:
    """Waitress looks for them every 30 seconds by default."""
    command, env = waitress(cleanup_interval=1), {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_KEEP_ALIVE_SECONDS": "1"}
    with running(command, tmp_path, env) as server, connected(server, 5) as idle:
        wait_until(lambda: 0 == open_ones(idle), "all are closed")

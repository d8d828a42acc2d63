"""Gunicorn options set by the operator override the settings of this library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attach.servers import ATTACHED, JOURNAL, attached, metric
from tests.ports import free_port
from tests.process import wait_until

OWN = """
from pathlib import Path

from flask_ops.gunicorn import *


def post_worker_init(worker):
    Path("connections").write_text(str(worker.worker_connections))
"""
SETTINGS = {"SERVICE_BIND": "127.0.0.1:1", "SERVICE_THREADS": "3", "WEB_CONCURRENCY": "1"}


@pytest.mark.parametrize(
    ("options", "arguments", "expected"),
    [
        # the command line; GUNICORN_CMD_ARGS; workers, threads, and connections of a worker
        ("-b 127.0.0.1:{port}", "", (1, 3, 500)),
        ("-b 127.0.0.1:{port} -w 2 --threads 110", "", (2, 110, 550)),
        ("", "-b 127.0.0.1:{port} -w 2 --threads 40", (2, 40, 500)),
        ("-b 127.0.0.1:{port} -w 2", "-b 127.0.0.1:2 -w 3", (2, 3, 500)),
        ("-b 127.0.0.1:{port} --threads 40 --worker-connections=15", "", (1, 40, 15)),
        ("-b 127.0.0.1:{port} --worker-connections=1000", "", (1, 3, 1000)),
    ],
)
def test_options_win_over_settings_and_the_command_line_over_gunicorn_cmd_args(
    options: str, arguments: str, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    """Without an option, a worker has room for idle connections, and for five connections per thread."""
    port, (workers, threads, connections) = free_port(), expected
    (tmp_path / "own.conf.py").write_text(OWN)
    env = {**SETTINGS, "GUNICORN_CMD_ARGS": arguments.format(port=port)}
    command = [*ATTACHED[:2], "own.conf.py"]
    with attached(JOURNAL, tmp_path, options.format(port=port).split(), env, command=command) as server:
        assert port == server.port

        def shown() -> tuple[float, float]:
            return metric(server, "service_workers"), metric(server, "service_worker_threads")

        wait_until(lambda: shown() == (workers, workers * threads), "workers and threads")
        assert workers == len(server.children())
        assert str(connections) == (tmp_path / "connections").read_text()
        too_few = [line for line in server.lines(level="warning") if "No keepalived connections" in line["event"]]
        assert (threads > connections) == bool(too_few)

"""Gunicorn options set by the operator override the settings of this library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.attach.servers import ATTACHED, JOURNAL, attached
from tests.exposition import value
from tests.ports import free_port
from tests.process import wait_until

SETTINGS = {"SERVICE_BIND": "127.0.0.1:1", "SERVICE_THREADS": "2", "WEB_CONCURRENCY": "3"}
CONFIGURATION = """
from pathlib import Path

from flask_ops.gunicorn import *


def post_worker_init(worker):
    Path("connections").write_text(str(worker.worker_connections))
"""


@pytest.mark.parametrize("place", ["command line", "GUNICORN_CMD_ARGS"])
def test_options_win_over_settings(place: str, tmp_path: Path) -> None:
    port = free_port()
    options = ["-w", "1", "-b", f"127.0.0.1:{port}", "--threads", "7"]
    env = {**SETTINGS, **({"GUNICORN_CMD_ARGS": " ".join(options)} if place == "GUNICORN_CMD_ARGS" else {})}
    with attached(JOURNAL, tmp_path, options if place == "command line" else [], env) as server:
        assert port == server.port
        assert 1 == len(server.children())

        def shown() -> tuple[float, float]:
            text = server.manage("/metrics").body.decode()
            return value(text, "service_workers"), value(text, "service_worker_threads")

        wait_until(lambda: shown() == (1, 7), "one worker of seven threads")


def test_the_command_line_wins_over_gunicorn_cmd_args(tmp_path: Path) -> None:
    env = {**SETTINGS, "GUNICORN_CMD_ARGS": "-w 3 -b 127.0.0.1:2"}
    with attached(JOURNAL, tmp_path, ["-w", "2", "-b", "127.0.0.1:0"], env) as server:
        assert 2 == len(server.children())


@pytest.mark.parametrize(
    ("options", "env", "expected"),
    [
        ([], {"SERVICE_THREADS": "3"}, 15),
        (["--threads", "40"], {"SERVICE_THREADS": "3"}, 200),
        ([], {"SERVICE_THREADS": "3", "GUNICORN_CMD_ARGS": "--threads 40"}, 200),
        (["--threads", "40", "--worker-connections=15"], {"SERVICE_THREADS": "3"}, 15),
        (["--worker-connections=1000"], {}, 1000),
    ],
)
def test_a_worker_takes_as_many_connections_as_fit_its_threads(
    options: list[str], env: Mapping[str, str], expected: int, tmp_path: Path
) -> None:
    (tmp_path / "own.conf.py").write_text(CONFIGURATION)
    command = [*ATTACHED[:2], "own.conf.py"]
    with attached(JOURNAL, tmp_path, ["-b", "127.0.0.1:0", "-w", "1", *options], env, command=command) as server:
        assert str(expected) == (tmp_path / "connections").read_text()
        too_few = [line for line in server.lines(level="warning") if "No keepalived connections" in line["event"]]
        assert ("--worker-connections=15" in options) == bool(too_few)

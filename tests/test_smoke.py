"""A test of the real server: it starts, answers requests, and stops on request."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[1]
DEADLINE = 30.0
"""Seconds after which a wait of the test fails."""

GUNICORN = [str(Path(sys.executable).with_name("gunicorn"))]  # with gunicorn.conf.py
WAITRESS = [sys.executable, "-m", "service"]
ON_WINDOWS = sys.platform == "win32"
STOPPED = 1 if ON_WINDOWS else 0
"""The exit code after ``terminate()``. Windows has no SIGTERM, so the process ends with 1 there."""
LISTENING = re.compile(r'"(?:Listening at: http://|listening",.*"address":")127\.0\.0\.1:([0-9]+)')
"""The log lines in which Gunicorn and Waitress report their port."""

T = TypeVar("T")


def test_the_server_starts_answers_and_stops(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    others = {name: value for name, value in os.environ.items() if not name.startswith("SERVICE_")}
    settings = {
        "SERVICE_ENV": "production",
        "SERVICE_LOG_FORMAT": "json",
        "SERVICE_BIND": "127.0.0.1:0",  # a free port
        "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0",
        "SERVICE_DRAIN_SECONDS": "0",
        "GUNICORN_CMD_ARGS": "",
        "PROMETHEUS_MULTIPROC_DIR": "",
        "TMPDIR": str(tmp_path),
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            WAITRESS if ON_WINDOWS else GUNICORN,
            cwd=ROOT,
            env={**others, **environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        port = int(wait_for(server, lambda: LISTENING.search(log.read_text()), "the port")[1])

        assert {"/": 200, "/healthz": 200, "/metrics": 200} == {
            path: get(port, path)[0] for path in ("/", "/healthz", "/metrics")
        }
        # Checks may fail in a test environment, for example without a database. But they must have run.
        wait_for(server, lambda: json.loads(get(port, "/readyz")[1])["status"] != "starting", "the first check results")

        server.terminate()
        assert STOPPED == server.wait(DEADLINE)
    finally:
        server.kill()
        server.wait()
        print(log.read_text())  # noqa: T201 - pytest shows it if the test fails


def get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def wait_for(server: subprocess.Popen[bytes], condition: Callable[[], T | None], what: str) -> T:
    """Return the first true value of ``condition``. Fail after the deadline, or as soon as the server has ended."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the server exited with {server.wait(0.05)} before {what}")
    raise AssertionError(f"not within {DEADLINE:g} s: {what}")

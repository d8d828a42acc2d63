"""`python -m flask_ops healthcheck` reports if the service on this machine is alive."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.process import BIN, PROJECT, clean_environ, running, started, wait_until

FREE = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1"}


def check(env: Mapping[str, str]) -> tuple[int, str]:
    """Return exit code and output."""
    command = [str(BIN / "python"), "-m", "flask_ops", "healthcheck"]
    environ = {**clean_environ(), **env}
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.system
def test_it_asks_the_management_address(interface: str, tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {**FREE, "SERVICE_MANAGEMENT_BIND": f"{interface}:0"}) as server:
        address = f"{interface}:{server.management_port}"
        assert (0, "alive\n") == check({"SERVICE_MANAGEMENT_BIND": address})

        server.process.send_signal(signal.SIGSTOP)
        silent = check({"SERVICE_MANAGEMENT_BIND": address})
        server.process.send_signal(signal.SIGCONT)

    assert (1, f"{address}/livez does not answer: timed out\n") == silent


@pytest.mark.system
def test_it_asks_on_a_unix_socket_too(tmp_path: Path) -> None:
    address = {"SERVICE_MANAGEMENT_BIND": f"unix:{tmp_path}/management"}

    with started([BIN / "gunicorn"], tmp_path, {**FREE, **address}):
        wait_until(lambda: check(address) == (0, "alive\n"), "alive")

    assert 1 == check(address)[0]


@pytest.mark.system
def test_without_a_management_address_it_asks_the_application(tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {**FREE, "SERVICE_MANAGEMENT_BIND": ""}) as server:
        here = {"SERVICE_MANAGEMENT_BIND": "", "SERVICE_BIND": f"127.0.0.1:{server.port}"}
        assert (0, "alive\n") == check(here)
    code, told = check(here)

    assert 1 == code
    assert f"127.0.0.1:{server.port}/healthz does not answer" in told


class Down(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"status":"down","reason":"no worker is alive"}')

    def log_message(self, *_: object) -> None:
        pass


def test_it_shows_the_reason_that_it_is_given() -> None:
    with HTTPServer(("127.0.0.1", 0), Down) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        told = check({"SERVICE_MANAGEMENT_BIND": address})
        thread.join()

    assert (1, f'{address}/livez answers 503: {{"status":"down","reason":"no worker is alive"}}\n') == told


def test_wrong_settings_are_no_traceback() -> None:
    code, told = check({"SERVICE_MANAGEMENT_BIND": "here"})

    assert 1 == code
    assert told.startswith("invalid settings: SERVICE_MANAGEMENT_BIND is 'here', expected host:port")

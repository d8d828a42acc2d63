"""Errors that Gunicorn reports only when it starts, found earlier by `check`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.check.checking import check
from tests.process import BIN, PROJECT, clean_environ
from tests.programs import require

pytestmark = pytest.mark.system

LOCAL = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--worker-class nope.Worker", "worker_class is nope.Worker: ModuleNotFoundError: No module named 'nope'."),
        ("--worker-class service.app.Nope", "worker_class is service.app.Nope: TypeError: there is no such class"),
        ("--worker-class nope", "worker_class is nope: ImportError: Entry point "),
        ("--logger-class nope.Logger", "logger_class is nope.Logger: ModuleNotFoundError: No module named 'nope'."),
        ("--certfile /nope", "certfile is /nope: FileNotFoundError: "),
        ("--keyfile /nope", "keyfile is /nope: "),
        ("--certfile gunicorn.conf.py", "certfile is gunicorn.conf.py: SSLError: "),
        ("--preload", "preload_app is True, which the service refuses."),
        ("--pid /nope/x.pid", "pidfile is /nope/x.pid: PermissionError: this user cannot write to /nope."),
    ],
)
def test_what_gunicorn_cannot_start_with_is_an_error(options: str, expected: str, tmp_path: Path) -> None:
    environ = {**LOCAL, "GUNICORN_CMD_ARGS": options, "TMPDIR": str(tmp_path)}
    found = check(environ=environ)
    (text,) = found.texts("gunicorn", "error")

    assert 1 == found.code
    assert text.startswith(f"It could not serve: {expected}")
    if "gunicorn.conf.py" not in options:  # Gunicorn starts with an invalid certificate, and fails with each connection
        command = [BIN / "gunicorn"]
        done = subprocess.run(command, env={**clean_environ(), **environ}, cwd=PROJECT, timeout=30, check=False)
        assert 0 != done.returncode


def test_no_workers_serve_nobody() -> None:
    found = check(environ={**LOCAL, "GUNICORN_CMD_ARGS": "--workers 0"})

    assert ["It could not serve: workers is 0."] == found.texts("gunicorn", "error")


def test_what_gunicorn_can_start_with_is_no_error(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make: list[str | Path] = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = f"--certfile {certificate} --keyfile {key} --pid {tmp_path}/x.pid --worker-class sync --threads 1"
    before = sorted(tmp_path.iterdir())

    assert [] == check(environ={**LOCAL, "GUNICORN_CMD_ARGS": options}).texts("gunicorn", "error")
    assert before == sorted(tmp_path.iterdir())

"""`python -m service check`, run as an operator does."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from flask_ops.core.settings import documentation
from tests.check.checking import check
from tests.ports import free_port
from tests.process import BIN, PROJECT, clean_environ, wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

GOOD = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "python", "-m", "service", *arguments],
        env={**clean_environ(), **environ},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("server", ["gunicorn", "waitress", "uwsgi"])
def test_a_sound_deployment_has_no_error(server: str, tmp_path: Path) -> None:
    found = check("--server", server, environ={**GOOD, "SERVICE_ENV": "production", "TMPDIR": str(tmp_path)})

    assert 0 == found.code
    assert [] == [each for each in found.findings if each["severity"] == "error"]
    assert {"settings", "mode", "application", "port", "memory", "clock", "grace"} <= {
        each["subject"] for each in found.findings
    }


def test_all_that_is_wrong_is_said_at_once_in_a_table_and_each_has_a_cure(tmp_path: Path) -> None:
    wrong = {"SERVICE_THREADS": "many", "SERVICE_LOG_LEVEL": "loud", "SERVICE_TREADS": "8", "SERVICE_ENV": "testing"}
    done = command("check", "--grace", "10", **GOOD, **wrong, TMPDIR=str(tmp_path))

    assert (1, "") == (done.returncode, done.stderr)
    for expected in (
        "SERVICE_THREADS is 'many', expected a whole number",
        "SERVICE_LOG_LEVEL is 'loud', expected one of",
        "Nothing reads SERVICE_TREADS.",
        "-> Did you mean SERVICE_THREADS?",
        "The mode is testing",
        "A stop may take 35 s",
        "Not loaded, because the settings are invalid.",
    ):
        assert expected in done.stdout
    assert done.stdout.startswith("error ")
    assert done.stdout.count("\nerror ") == 3


def test_it_starts_nothing_that_stays_and_changes_nothing(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    for environ in ({}, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "store")}):
        check(environ={**GOOD, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), **environ})

    assert [] == [*tmp_path.iterdir()]
    assert before == {process.pid for process in psutil.Process().children(recursive=True)}


def test_taken_addresses_are_reported_and_the_running_service_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serve("gunicorn", tmp_path, {"PROMETHEUS_MULTIPROC_DIR": str(store)}) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        files = {path.name for path in store.iterdir()}
        found = check(
            environ={
                "SERVICE_BIND": f"127.0.0.1:{server.port}",
                "SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{server.management_port}",
                "PROMETHEUS_MULTIPROC_DIR": str(store),
            }
        )

        assert 1 == found.code
        assert [
            f"127.0.0.1:{server.port}: Address already in use.",
            f"127.0.0.1:{server.management_port}: Address already in use.",
        ] == found.texts("port", "error")
        assert not any("is not ours" in text for text in found.texts("store", "warning"))
        assert files <= {path.name for path in store.iterdir()}
        assert 200 == server.get("/readyz").status
        assert [] == server.lines(level="warning")


def test_an_unusable_argument_is_a_usage_error() -> None:
    done = command("check", "--grace", "soon")

    assert 2 == done.returncode
    assert "'soon' is not seconds, from 0 to 86400" in done.stderr


def test_help_shows_both_commands_and_every_setting() -> None:
    done = command("--help")

    assert 0 == done.returncode
    assert [] == [
        name for name in ("check", "verify", *(name for name, _, _ in documentation())) if name not in done.stdout
    ]
    for name in ("check", "verify"):
        assert 0 == command(name, "--help").returncode


def test_a_free_port_is_bound_only_during_the_check() -> None:
    port = free_port()
    environ = {**GOOD, "SERVICE_BIND": f"127.0.0.1:{port}"}

    assert f"127.0.0.1:{port} is free." in check(environ=environ).texts("port", "ok")
    with socket.create_server(("127.0.0.1", port)):
        assert [f"127.0.0.1:{port}: Address already in use."] == check(environ=environ).texts("port", "error")


@pytest.mark.parametrize("configured", [True, False])
def test_the_application_of_the_command_line_is_the_one_that_is_checked(configured: bool, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")
    if configured:
        (tmp_path / "gunicorn.conf.py").write_text("from flask_ops.gunicorn import *\n")

    def faults(application: str) -> list[str]:
        command = [str(BIN / "python"), "-m", "flask_ops", "check", application, "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=False)
        found = json.loads(done.stdout)["findings"]
        return [each["text"] for each in found if (each["subject"], each["severity"]) == ("application", "error")]

    assert [] == faults("shop:app")
    assert ["It cannot be loaded: ModuleNotFoundError: No module named 'nosuch'"] == faults("nosuch:app")

"""`python -m service check`, run as an operator does, and its findings about settings, server and stop."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from flask_ops.cli.check.command import look
from flask_ops.cli.check.deployment import Limits, Trial
from flask_ops.core.settings import documentation
from tests.check.checking import check, deployment, only, severities
from tests.process import BIN, PROJECT, clean_environ, wait_until
from tests.servers import serve

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


@pytest.mark.system
@pytest.mark.parametrize("server", ["gunicorn", "waitress", "uwsgi"])
def test_a_sound_deployment_has_no_error(server: str, tmp_path: Path) -> None:
    found = check("--server", server, environ={**GOOD, "SERVICE_ENV": "production", "TMPDIR": str(tmp_path)})

    assert 0 == found.code
    assert [] == [each for each in found.findings if each["severity"] == "error"]
    assert {"settings", "mode", "application", "proxies", "memory", "grace"} <= {
        each["subject"] for each in found.findings
    }


@pytest.mark.system
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


@pytest.mark.system
def test_it_starts_nothing_that_stays_and_changes_nothing(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    for environ in ({}, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "store")}):
        check(environ={**GOOD, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), **environ})

    assert [] == [*tmp_path.iterdir()]
    assert before == {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.mark.system
def test_a_service_that_runs_here_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serve("gunicorn", tmp_path, {"PROMETHEUS_MULTIPROC_DIR": str(store)}) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        files = {path.name for path in store.glob("*_s*")}  # the server itself moves the counts of other processes
        found = check(
            environ={
                "SERVICE_BIND": f"127.0.0.1:{server.port}",
                "SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{server.management_port}",
                "PROMETHEUS_MULTIPROC_DIR": str(store),
            }
        )

        assert [] == [each for each in found.findings if each["severity"] == "error"]
        assert not any("of another program" in text for text in found.texts("store", "warning"))
        assert files <= {path.name for path in store.iterdir()}
        assert 200 == server.get("/readyz").status
        assert [] == server.lines(level="warning")


def test_an_unusable_argument_is_a_usage_error() -> None:
    done = command("check", "--grace", "soon")

    assert 2 == done.returncode
    assert "'soon' is not seconds, from 0 to 86400" in done.stderr


@pytest.mark.system
def test_help_shows_both_commands_and_every_setting() -> None:
    done = command("--help")

    assert 0 == done.returncode
    assert [] == [
        name for name in ("check", "verify", *(name for name, _, _ in documentation())) if name not in done.stdout
    ]
    for name in ("check", "verify"):
        assert 0 == command(name, "--help").returncode


@pytest.mark.system
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


@pytest.mark.system
def test_a_fault_of_the_application_hides_nothing_else(tmp_path: Path) -> None:
    """The folder has no gunicorn.conf.py."""
    found = check(environ={"PYTHONPATH": str(PROJECT)}, cwd=tmp_path)
    (cure,) = [each["cure"] for each in found.findings if each["subject"] == "application"]

    assert 1 == found.code
    assert f"Gunicorn expects gunicorn.conf.py in {tmp_path}, unless --config names another file." == cure
    assert {"mode", "proxies", "store", "cpus", "grace"} <= {each["subject"] for each in found.findings}


def test_each_setting_is_judged() -> None:
    for environ, subject, severity, words in (
        ({}, "mode", "ok", "production"),
        ({"SERVICE_ENV": "development"}, "mode", "error", "The mode is development"),
        ({"SERVICE_ENV": "testing"}, "mode", "error", "The mode is testing"),
        ({"SERVICE_SECRET_KEY": "hunter2"}, "settings", "error", "is (not shown)"),
        ({"SERVICE_TREADS": "4"}, "settings", "warning", "Nothing reads SERVICE_TREADS"),
        ({"SERVICE_QQQQ": "4"}, "settings", "warning", "Nothing reads SERVICE_QQQQ"),
    ):
        found = [each for each in look(deployment(environ)) if (each.subject, each.severity) == (subject, severity)]

        assert words in found[0].text
        assert "hunter2" not in str(found)


def test_without_a_mode_python_m_service_serves_for_development() -> None:
    """`python -m service` defaults to development; `waitress-serve` and the other servers default to production."""
    assert "default of `python -m service` without" in only(look(deployment(server="waitress")), "mode").text
    assert ["ok"] == severities(look(deployment({"SERVICE_ENV": "production"}, "waitress")), "mode")


def test_the_grace_must_exceed_drain_and_graceful_time() -> None:
    for environ, grace, severity in (
        ({}, 45, "ok"),
        ({}, 35, "error"),
        ({"SERVICE_DRAIN_SECONDS": "0", "SERVICE_GRACEFUL_SECONDS": "8"}, 10, "ok"),
        ({"SERVICE_DRAIN_SECONDS": "2", "SERVICE_GRACEFUL_SECONDS": "8"}, 10, "error"),
        ({}, None, "note"),
    ):
        assert severity == only(look(deployment(environ, grace=grace)), "grace").severity
    limits = Limits(binds=[], workers=2, keep_alive_seconds=620, graceful_seconds=90)
    of_gunicorn = only(look(deployment(trial=Trial(limits=limits), grace=45)), "grace")
    of_uwsgi = only(look(deployment(server="uwsgi", grace=1)), "grace")

    expected = "A stop may take 95 s (5 of drain, 90 for requests in flight), but the supervisor kills it after 45 s."
    assert expected == of_gunicorn.text
    assert "note" == of_uwsgi.severity
    assert "harakiri" in of_uwsgi.text

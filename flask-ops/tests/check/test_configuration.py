"""Findings of `check` about the settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flask_ops.cli.check.configuration import look
from flask_ops.cli.check.trial import Trial
from tests.check.checking import check, deployment, only, severities
from tests.process import BIN, PROJECT

LOADED = Trial(loaded_bytes=1)


def test_a_server_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [] == severities(look(deployment({"PATH": str(BIN)}, "uwsgi")), "server")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert ["warning"] == severities(look(deployment({"PATH": str(tmp_path)}, "uwsgi")), "server")
    (tmp_path / "uwsgi").touch(0o755)
    assert [] == severities(look(deployment({"PATH": "/nowhere"}, "uwsgi")), "server")

    assert [] == severities(look(deployment(server="waitress")), "server")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert ["error"] == severities(look(deployment(server="waitress")), "server")


@pytest.mark.system
def test_in_a_folder_without_gunicorns_configuration_that_is_said(tmp_path: Path) -> None:
    found = check(environ={"PYTHONPATH": str(PROJECT)}, cwd=tmp_path)
    (cure,) = [each["cure"] for each in found.findings if each["subject"] == "application"]

    assert f"Gunicorn expects gunicorn.conf.py in {tmp_path}, unless --config names another file." == cure


def test_what_is_set_for_production_is_ok() -> None:
    found = [*look(deployment({"SERVICE_SECRET_KEY": "x" * 16}, trial=LOADED))]

    assert ["ok"] * 5 == [finding.severity for finding in found]


@pytest.mark.parametrize("mode", ["development", "testing"])
def test_any_other_mode_is_an_error(mode: str) -> None:
    finding = only(look(deployment({"SERVICE_ENV": mode})), "mode")

    assert ("error", "SERVICE_ENV=production") == (finding.severity, finding.cure)


def test_without_a_mode_python_m_service_serves_for_development() -> None:
    """`python -m service` defaults to development; `waitress-serve` and the other servers default to production."""
    assert "default of `python -m service` without" in only(look(deployment(server="waitress")), "mode").text
    assert ["ok"] == severities(look(deployment({"SERVICE_ENV": "production"}, "waitress")), "mode")
    assert ["ok"] == severities(look(deployment()), "mode")


def test_lines_for_people_are_a_warning() -> None:
    assert ["warning"] == severities(look(deployment({"SERVICE_LOG_FORMAT": "console"})), "log")


def test_a_missing_key_is_a_note() -> None:
    assert ["note"] == severities(look(deployment()), "secret")


def test_a_secret_is_not_shown() -> None:
    found = [*look(deployment({"SERVICE_SECRET_KEY": "hunter2"}))]

    assert ["error"] == severities(found, "settings")
    assert "hunter2" not in str(found)


def test_an_unknown_variable_is_a_warning_with_the_nearest_name_if_there_is_one() -> None:
    found = [*look(deployment({"SERVICE_TREADS": "4", "SERVICE_QQQQ": "1"}))]
    cures = [finding.cure for finding in found if finding.severity == "warning"]

    assert cures == ["`python -m service --help` lists the known settings.", "Did you mean SERVICE_THREADS?"]


@pytest.mark.system
def test_a_worker_class_that_is_refused_is_an_error() -> None:
    found = check(environ={"GUNICORN_CMD_ARGS": "-k gevent"})

    assert 1 == len(found.texts("worker class", "error"))


@pytest.mark.parametrize("options", ["-k gthread", "-k sync", "-k sync --threads=1"])
@pytest.mark.system
def test_a_worker_class_of_ours_is_in_order(options: str) -> None:
    found = check(environ={"GUNICORN_CMD_ARGS": options})

    assert [] == found.texts("worker class", "error")


def test_gunicorns_reloader_is_a_warning() -> None:
    found = check(environ={"GUNICORN_CMD_ARGS": "--reload"})

    assert 1 == len(found.texts("reload", "warning"))

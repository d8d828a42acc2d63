"""The effective configuration of Gunicorn, and a trial load of the application."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_ops.cli.check import trial
from flask_ops.cli.check.trial import Trial
from flask_ops.core.address import Address
from tests.check.checking import check
from tests.process import PROJECT, clean_environ

pytestmark = pytest.mark.system


def load(*, with_gunicorn: bool = True, **environ: str) -> Trial:
    return trial.run("service.app:create_app()", {**clean_environ(), **environ}, with_gunicorn=with_gunicorn)


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the service for the test to break, and run the test in it."""
    shutil.copytree(PROJECT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "gunicorn.conf.py", tmp_path)
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_gunicorns_values_are_those_of_the_settings() -> None:
    found = load(SERVICE_BIND="127.0.0.1:8123", WEB_CONCURRENCY="3", SERVICE_THREADS="5", SERVICE_GRACEFUL_SECONDS="7")

    assert found.gunicorn is not None
    assert (Address("127.0.0.1", 8123),) == found.gunicorn.binds
    assert (3, 5, 7) == (found.gunicorn.workers, found.gunicorn.threads, found.gunicorn.graceful_seconds)
    assert (found.gunicorn.forwarded_allow_ips, found.gunicorn.reload) == ((), False)


def test_what_gunicorn_takes_from_its_own_variable_counts() -> None:
    options = "--bind 0.0.0.0:81 --bind unix:/run/x.sock --bind fd://3 --workers 9 --worker-class sync --threads 1"
    found = load(GUNICORN_CMD_ARGS=f"{options} --forwarded-allow-ips=*,::1 --reload")

    assert found.gunicorn is not None
    assert (Address("0.0.0.0", 81), Address(unix="/run/x.sock")) == found.gunicorn.binds
    assert (9, 1, 5) == (found.gunicorn.workers, found.gunicorn.threads, found.gunicorn.connections)
    assert (found.gunicorn.forwarded_allow_ips, found.gunicorn.reload) == (("*", "::1"), True)


@pytest.mark.parametrize("with_gunicorn", [True, False])
def test_the_memory_of_a_process_is_measured(with_gunicorn: bool) -> None:
    found = load(with_gunicorn=with_gunicorn)

    assert found.fault is None
    assert found.loaded_bytes is not None
    assert 10 * 2**20 < found.loaded_bytes < 200 * 2**20


def test_more_memory_at_import_is_seen(copy: Path) -> None:
    usual = load().loaded_bytes
    with (copy / "service/views.py").open("a") as views:
        views.write("\nCACHE = bytes(range(256)) * 4096 * 64\n")
    more = load().loaded_bytes

    assert usual is not None
    assert more is not None
    assert 48 * 2**20 < more - usual < 80 * 2**20


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("service/views.py", "import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("service/views.py", "raise SystemExit(5)", "SystemExit: 5"),
        ("gunicorn.conf.py", "1 / 0", "ZeroDivisionError: division by zero"),
        ("gunicorn.conf.py", "workers = -3", "Error: Value must be positive: -3"),
        ("gunicorn.conf.py", "(", "SyntaxError: '(' was never closed"),
        ("gunicorn.conf.py", "raise SystemExit(0)", "it exits with 0 before all is loaded"),
        ("gunicorn.conf.py", "raise SystemExit(5)", "it exits with 5 before all is loaded"),
        ("service/views.py", "import os; os._exit(0)", "it exits with 0 before all is loaded"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(file: str, line: str, expected: str, copy: Path) -> None:
    with (copy / file).open("a") as broken:
        broken.write(f"\n{line}\n")

    assert expected == load().fault


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_options_with_which_gunicorn_serves_nobody_are_an_error(option: str) -> None:
    found = check(environ={"GUNICORN_CMD_ARGS": option})

    assert ["It cannot be loaded: it exits with 0 before all is loaded"] == found.texts("application", "error")


def test_what_python_writes_as_it_starts_is_no_result(copy: Path) -> None:
    (copy / "sitecustomize.py").write_text("print('[]')\n")

    assert load(PYTHONPATH=str(copy)).fault is None


def test_the_command_says_it_and_the_rest(copy: Path) -> None:
    (copy / "service/app.py").write_text("raise ImportError('a library is missing')\n")

    found = check(cwd=copy)

    assert 1 == found.code
    assert ["It cannot be loaded: ImportError: a library is missing"] == found.texts("application", "error")
    assert found.texts("clock", "note") + found.texts("clock", "ok")


def test_what_does_not_end_is_bounded(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 1.0)
    (copy / "service/app.py").write_text("import threading\nthreading.Event().wait()\n")

    assert "not loaded within 1 seconds" == load().fault


def test_metrics_made_at_import_are_not_written_into_a_store_in_use(copy: Path) -> None:
    with (copy / "service/views.py").open("a") as views:
        views.write("\nfrom prometheus_client import Counter\nCounter('orders', 'x').inc()\n")
    (copy / "store").mkdir()

    assert load(PROMETHEUS_MULTIPROC_DIR=str(copy / "store")).fault is None
    assert [] == [*(copy / "store").iterdir()]

"""A trial load of Gunicorn's configuration and of the application."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flask_ops.cli.check import deployment
from flask_ops.cli.check.deployment import Trial
from flask_ops.cli.findings import Finding
from flask_ops.core.address import Address
from tests.check.checking import check
from tests.process import PROJECT, clean_environ
from tests.programs import require

pytestmark = pytest.mark.system

LOCAL = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


def load(server: str = "gunicorn", **environ: str) -> Trial:
    return deployment.load("service.app:create_app()", {**clean_environ(), **environ}, server, is_given=False)


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the service for the test to break, and run the test in it."""
    shutil.copytree(PROJECT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "gunicorn.conf.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_gunicorns_limits_are_those_of_the_settings() -> None:
    environ = {"SERVICE_KEEP_ALIVE_SECONDS": "75", "SERVICE_GRACEFUL_SECONDS": "7"}
    found = load(SERVICE_BIND="127.0.0.1:8123", WEB_CONCURRENCY="3", **environ)

    assert found.limits is not None
    assert [Address("127.0.0.1", 8123)] == found.limits.binds
    assert 3 == found.limits.workers
    assert (75, 7) == (found.limits.keep_alive_seconds, found.limits.graceful_seconds)
    assert [] == found.findings


def test_what_gunicorn_takes_from_its_own_variable_counts() -> None:
    options = "--bind 0.0.0.0:81 --bind unix:/run/x.sock --bind fd://3 --workers 9 --worker-class sync --threads 1"
    more = "--keep-alive 2 --forwarded-allow-ips=*,::1 --reload --worker-tmp-dir /nowhere"
    found = load(GUNICORN_CMD_ARGS=f"{options} {more}")

    assert found.limits is not None
    assert [Address("0.0.0.0", 81), Address(unix="/run/x.sock")] == found.limits.binds
    assert (9, 2) == (found.limits.workers, found.limits.keep_alive_seconds)
    assert [("error", "gunicorn"), ("warning", "reload"), ("warning", "proxies")] == [
        (finding.severity, finding.subject) for finding in found.findings
    ]
    assert "worker_tmp_dir cannot be used. /nowhere doesn't exist." in found.findings[0].text
    assert "forwarded_allow_ips is *,::1: it also trusts headers" in found.findings[2].text


def test_each_remedy_against_trusted_addresses_works(copy: Path) -> None:
    def findings(**environ: str) -> list[Finding]:
        environ = {**clean_environ(), **environ}
        return [*deployment.load("service.app:create_app()", environ, "gunicorn", is_given=True).findings]

    configuration = copy / "gunicorn.conf.py"
    configuration.unlink()
    (found,) = findings()
    setting, option = re.findall(r'forwarded_allow_ips = ""|--forwarded-allow-ips=""', found.cure)

    assert [] == findings(GUNICORN_CMD_ARGS=option)
    configuration.write_text(f"from flask_ops.gunicorn import *\n{setting}\n")
    assert [] == findings()


def test_what_gunicorn_cannot_serve_with_is_an_error(tmp_path: Path) -> None:
    for options, subject, text in (
        ("--preload", "gunicorn", "It does not start: preload_app cannot be used. "),
        ("-k gevent", "gunicorn", "It does not start: worker_class cannot be used. "),
        ("-k service.app.Nope", "gunicorn", "It does not start: worker_class cannot be used. "),
        ("-k nope.Worker", "application", "It cannot be loaded: RuntimeError: class uri 'nope.Worker' invalid or not"),
        ("--keyfile /nope", "application", "It cannot be loaded: TypeError: "),
        ("--certfile gunicorn.conf.py", "application", "It cannot be loaded: SSLError: "),
    ):
        found = check(environ={**LOCAL, "GUNICORN_CMD_ARGS": options, "TMPDIR": str(tmp_path)})

        assert 1 == found.code
        (told,) = found.texts(subject, "error")
        assert told.startswith(text)


def test_what_gunicorn_can_start_with_is_no_error(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make: list[str | Path] = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = f"--certfile {certificate} --keyfile {key} --worker-class sync --threads 1"

    assert [] == load(GUNICORN_CMD_ARGS=options).findings
    for worker_class in ("gthread", "sync"):  # as with Gunicorn, sync gets the threaded worker
        assert [] == load(GUNICORN_CMD_ARGS=f"-k {worker_class}").findings


@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_the_memory_of_a_process_is_measured(server: str, copy: Path) -> None:
    """Under Gunicorn each worker imports the application. uWSGI's workers share what their parent has imported."""

    def total(found: Trial) -> int:
        assert found.fault is None
        assert found.shared_bytes is not None
        assert found.worker_bytes is not None
        assert (server == "uwsgi") == (found.worker_bytes == 0)
        return found.shared_bytes + found.worker_bytes

    usual = total(load(server))
    assert 10 * 2**20 < usual < 200 * 2**20
    with (copy / "service/views.py").open("a") as views:
        views.write("\nCACHE = bytes(range(256)) * 4096 * 64\n")

    assert 48 * 2**20 < total(load(server)) - usual < 80 * 2**20


def test_what_cannot_be_loaded_is_told_in_one_line(copy: Path) -> None:
    for file, line, expected in (
        ("service/views.py", "import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("service/views.py", "raise SystemExit(5)", "SystemExit: 5"),
        ("gunicorn.conf.py", "1 / 0", "ZeroDivisionError: division by zero"),
        ("gunicorn.conf.py", "workers = -3", "Error: Value must be positive: -3"),
        ("gunicorn.conf.py", "(", "SyntaxError: '(' was never closed"),
        ("gunicorn.conf.py", "raise SystemExit(5)", "it exits with 5 before all is loaded"),
        ("service/views.py", "import os; os._exit(0)", "it exits with 0 before all is loaded"),
    ):
        before = (copy / file).read_text()
        (copy / file).write_text(f"{before}\n{line}\n")

        assert expected == load().fault
        (copy / file).write_text(before)
    assert "it exits with 0 before all is loaded" == load(GUNICORN_CMD_ARGS="--version").fault


def test_what_python_writes_as_it_starts_is_no_result(copy: Path) -> None:
    (copy / "sitecustomize.py").write_text("print('[]')\n")

    assert load(PYTHONPATH=str(copy)).fault is None


def test_what_does_not_end_is_bounded(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "SECONDS", 1.0)
    (copy / "service/app.py").write_text("import threading\nthreading.Event().wait()\n")

    assert "not loaded within 1 seconds" == load().fault


def test_metrics_made_at_import_are_not_written_into_a_store_in_use(copy: Path) -> None:
    with (copy / "service/views.py").open("a") as views:
        views.write("\nfrom prometheus_client import Counter\nCounter('orders', 'x').inc()\n")
    (copy / "store").mkdir()

    assert load(PROMETHEUS_MULTIPROC_DIR=str(copy / "store")).fault is None
    assert [] == [*(copy / "store").iterdir()]

"""New code that cannot be loaded does not stop the running service."""

from __future__ import annotations

import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.copies import copy_service
from tests.gunicorn.changing import (
    BROKEN,
    ENV,
    FORKS_NOTHING_IF_TOLD,
    HANGS,
    metric,
    serving,
    workers,
)
from tests.process import BIN, Server, running, started, wait_until

pytestmark = pytest.mark.system

REAPED_BY_ANOTHER = """
import os

wait = os.waitpid

def waitpid(pid, options):
    if pid > 0 and options & os.WNOHANG:  # somebody has asked for any child before
        wait(pid, 0)
    return wait(pid, options)

def when_ready(server):
    os.waitpid = waitpid
"""
WAITS_FOR_A_FILE = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the service for the test to change."""
    return copy_service(tmp_path / "copy")


@pytest.fixture
def server(copy: Path, tmp_path: Path) -> Iterator[Server]:
    with serving(copy, tmp_path, ("--timeout=3",)) as running_server:
        yield running_server


REFUSED = [
    ("service/views.py", "", BROKEN, "ModuleNotFoundError"),
    ("service/views.py", "", "raise SystemExit(0)", "exit code 0"),
    ("service/views.py", "", "raise SystemExit(False)", "exit code False"),
    ("service/views.py", "", "__import__('os')._exit(0)", "ended the process"),
    ("gunicorn.conf.py", BROKEN, "", "exit code 1"),
    ("gunicorn.conf.py", "import os\nos.environ['SERVICE_THREADS'] = 'many'\n", "", "exit code 78"),
    ("gunicorn.conf.py", "", "worker_class = 'no_such_package.Worker'", "Error"),
    ("gunicorn.conf.py", "", "worker_tmp_dir = '/nonexistent'", "exit code 78"),
    ("gunicorn.conf.py", "", "pidfile = '/nonexistent/pid'", "Error"),
    ("gunicorn.conf.py", "", "certfile = keyfile = '/nonexistent'", "Error"),
    ("gunicorn.conf.py", "", "bind = '127.0.0.1:1'", "exit code 78"),
    ("gunicorn.conf.py", "", "preload_app = True", "exit code 78"),
]
"""A file, code before and after its own, and the reason."""


def new_workers(server: Server, before: set[int]) -> set[int]:
    wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "new workers")
    return workers(server)


def test_workers_stay_where_the_new_code_cannot_be_used(server: Server, copy: Path, tmp_path: Path) -> None:
    before = workers(server)
    for number, (file, head, tail, reason) in enumerate(REFUSED, start=1):
        path = copy / file
        good = path.read_text()
        path.write_text(f"{head}{good}\n{tail}\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.lines("reload refused")) == number, f"{head}{tail}")  # noqa: B023 - called at once
        line = server.lines("reload refused")[-1]
        assert "error" == line["level"]
        assert reason in line["reason"]
        path.write_text(good)
    assert "a_module_that_does_not_exist" in server.text()
    assert "SERVICE_THREADS" in str(server.line("settings cannot be used")["problems"])
    assert before == workers(server)
    assert 200 == server.get("/").status
    wait_until(lambda: metric(server, "service_reload_failures_total") == len(REFUSED), "the metric")

    # A reload with good code leaves nothing behind but what it asks for.
    with (copy / "gunicorn.conf.py").open("a") as conf:
        conf.write(f"\npidfile = {str(tmp_path / 'pid')!r}\n")
    server.process.send_signal(signal.SIGHUP)
    before = new_workers(server, before)
    (store,) = (tmp_path / "tmp").glob("service-metrics-*")
    wait_until(lambda: not [path for path in store.iterdir() if path.is_dir()], "no folder")
    assert [] == [path.name for path in store.glob("*_p*.db")]
    assert str(server.process.pid) == (tmp_path / "pid").read_text().strip()
    assert [tmp_path / "pid"] == list(tmp_path.glob("pid*"))
    assert len(REFUSED) == metric(server, "service_reload_failures_total")

    # The last of several reloads counts: the code may change during its trial.
    views = copy / "service" / "views.py"
    good = views.read_text()
    views.write_text(good + "import time\ntime.sleep(0.5)\n" + BROKEN)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.children()) == 3, "a trial")
    views.write_text(good)
    server.process.send_signal(signal.SIGHUP)
    before = new_workers(server, before)
    wait_until(lambda: len(server.lines("worker ended", reason="reload")) == 4, "the files of the old ones are removed")

    # A cleanup job has removed the store.
    shutil.rmtree(store)
    server.process.send_signal(signal.SIGHUP)
    new_workers(server, before)
    assert 200 == server.get("/").status
    assert 0o700 == stat.S_IMODE(store.stat().st_mode)


def test_it_does_not_matter_who_reaps_a_trial(copy: Path, tmp_path: Path) -> None:
    """Gunicorn reaps all children in a loop. A trial can end while the loop handles a recycled worker."""
    conf, views = copy / "gunicorn.conf.py", copy / "service" / "views.py"
    conf.write_text(conf.read_text() + REAPED_BY_ANOTHER)
    with running([BIN / "gunicorn"], tmp_path, ENV, cwd=copy) as server:
        before = workers(server)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "new workers")
        views.write_text(views.read_text() + BROKEN)
        server.process.send_signal(signal.SIGHUP)

        assert "ModuleNotFoundError" in server.line("reload refused")["reason"]


def test_workers_stay_where_no_trial_can_be_made(copy: Path, tmp_path: Path) -> None:
    conf, told = copy / "gunicorn.conf.py", copy / "no-more"
    conf.write_text(conf.read_text() + FORKS_NOTHING_IF_TOLD)
    with running([BIN / "gunicorn"], tmp_path, ENV, cwd=copy) as server:
        before = workers(server)
        told.touch()
        server.process.send_signal(signal.SIGHUP)

        assert "Resource temporarily unavailable" in server.line("reload refused")["reason"]
        assert before == workers(server)
        assert 200 == server.get("/").status
        assert 1 == metric(server, "service_reload_failures_total")

        told.unlink()
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "new workers")


def test_a_trial_that_hangs_ends_with_its_time_or_with_the_service(server: Server, copy: Path) -> None:
    before = workers(server)
    views = copy / "service" / "views.py"
    views.write_text(views.read_text() + HANGS)

    server.process.send_signal(signal.SIGHUP)

    wait_until(lambda: len(workers(server)) == 3, "the trial")
    assert 2 == metric(server, "service_workers")  # the trial is not a worker
    assert "in time" in server.line("reload refused")["reason"]
    assert before == workers(server)

    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: workers(server) - before, "a trial")
    trial = workers(server) - before
    assert 0 == server.stop()
    assert not any(psutil.pid_exists(pid) for pid in trial)


def test_no_reload_happens_once_the_service_drains(copy: Path, tmp_path: Path) -> None:
    """Otherwise, workers would start and stop during the drain."""
    with running([BIN / "gunicorn"], tmp_path, {**ENV, "SERVICE_DRAIN_SECONDS": "3600"}, cwd=copy) as server:
        views = copy / "service" / "views.py"
        views.write_text(views.read_text() + WAITS_FOR_A_FILE)
        before = workers(server)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: workers(server) - before, "a trial")

        server.process.send_signal(signal.SIGTERM)
        server.line("draining")
        (copy / "go").touch()

        assert "the service is stopping" == server.line("reload refused")["reason"]
        assert before == workers(server)
        assert [] == server.lines("Hang up: Master")


@pytest.mark.parametrize("code", [BROKEN, "__import__('os')._exit(0)"])
def test_a_server_of_which_no_worker_can_start_ends(code: str, copy: Path, tmp_path: Path) -> None:
    views = copy / "service" / "views.py"
    views.write_text(f"{views.read_text()}\n{code}")

    with started([BIN / "gunicorn"], tmp_path, ENV, cwd=copy) as server:
        assert 0 != server.process.wait(20)


def test_a_worker_that_hangs_as_it_starts_is_ended(copy: Path, tmp_path: Path) -> None:
    """Gunicorn alone would wait for it forever."""
    views = copy / "service" / "views.py"
    views.write_text(views.read_text() + HANGS)

    with started([BIN / "gunicorn", "--timeout=1"], tmp_path, {**ENV, "WEB_CONCURRENCY": "1"}, cwd=copy) as server:
        wait_until(lambda: server.lines("worker ended", reason="timeout"), "the line")

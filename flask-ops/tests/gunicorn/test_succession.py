"""Workers serve until their replacements do, and delay neither the master nor clients."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.copies import copy_service
from tests.gunicorn.changing import (
    BROKEN,
    FORKS_NOTHING_IF_TOLD,
    IN_WORKERS,
    metric,
    serving,
    workers,
)
from tests.process import DEADLINE, Server, wait_until

pytestmark = pytest.mark.system

HELD = """
import pathlib, time

@views.get("/held")
def held():
    pathlib.Path("is-held").touch()
    while not pathlib.Path("release").exists():
        time.sleep(0.01)
    return "done"
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the service, with a request that runs until the test releases it."""
    folder = copy_service(tmp_path / "copy")
    append(folder, HELD)
    return folder


def append(copy: Path, code: str) -> str:
    """Append to the code of the views, and return the previous code."""
    views = copy / "service" / "views.py"
    before = views.read_text()
    views.write_text(f"{before}\n{code}")
    return before


@contextmanager
def held(server: Server, copy: Path) -> Iterator[list[int]]:
    """Keep a request in flight during the block; after it, the list holds the request's status."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(server.get("/held").status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        wait_until((copy / "is-held").exists, "the request is in flight")
        yield statuses
    finally:
        (copy / "release").touch()
        thread.join(DEADLINE)


def test_old_workers_serve_until_new_ones_do(copy: Path, tmp_path: Path) -> None:
    with serving(copy, tmp_path) as server:
        before = workers(server)
        append(copy, f"{IN_WORKERS}while not pathlib.Path('go').exists(): time.sleep(0.01)\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(server)) == 4, "new workers, which load the code")

        for _ in range(20):
            assert 200 == server.get("/").status
        assert before < workers(server)

        (copy / "go").touch()
        wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "they alone")
        wait_until(lambda: metric(server, "service_worker_exits_total", reason="reload") == 2, "it is counted")


def test_old_workers_go_on_where_new_ones_cannot_start(copy: Path, tmp_path: Path) -> None:
    """The trial may succeed although workers fail: for example, the old workers may hold a lock."""
    with (copy / "gunicorn.conf.py").open("a") as file:
        file.write("def child_exit(server, worker):\n    open('exits', 'a').write('x')\n")
    with serving(copy, tmp_path) as server:
        before = workers(server)
        good = append(copy, f"{IN_WORKERS}{BROKEN}")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.lines("worker failed to start")) >= 4, "two tries")

        assert before <= workers(server)
        assert 200 == server.get("/").status
        assert {"boot"} == {line["reason"] for line in server.lines("worker ended")}
        assert 4 <= len((copy / "exits").read_text())

        (copy / "service" / "views.py").write_text(good)
        wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "new workers, all the same")


@pytest.mark.parametrize("ending", ["os._exit(0)", BROKEN])
def test_workers_that_fail_to_start_are_retried_after_growing_delays(ending: str, copy: Path, tmp_path: Path) -> None:
    """The exit code does not matter: with code 0, Gunicorn forked 12 workers in a second."""
    with serving(copy, tmp_path) as server:
        good = append(copy, f"import os\n{ending}\n")
        server.children()[0].kill()

        wait_until(lambda: len(server.lines("worker failed to start")) >= 2, "two tries")
        assert [2, 4] == [line["retry_seconds"] for line in server.lines("worker failed to start")[:2]]
        assert {"signal", "boot"} == {line["reason"] for line in server.lines("worker ended")}
        assert 200 == server.get("/").status

        (copy / "service" / "views.py").write_text(good)
        wait_until(lambda: metric(server, "service_worker_threads") == 8, "both workers")


def test_where_no_process_can_be_forked_the_others_serve_on(copy: Path, tmp_path: Path) -> None:
    conf, told = copy / "gunicorn.conf.py", copy / "no-more"
    conf.write_text(conf.read_text() + FORKS_NOTHING_IF_TOLD)
    with serving(copy, tmp_path) as server:
        told.touch()
        server.children()[0].kill()

        wait_until(lambda: server.lines("worker failed to start"), "the line")
        assert 200 == server.get("/").status

        told.unlink()
        wait_until(lambda: len(workers(server)) == 2, "two workers")


def test_the_drain_begins_at_once_while_a_replaced_worker_finishes(copy: Path, tmp_path: Path) -> None:
    with serving(copy, tmp_path, SERVICE_DRAIN_SECONDS="3600") as server, held(server, copy) as statuses:
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.lines("worker ended", reason="reload"), "the one without a request")

        server.process.send_signal(signal.SIGTERM)
        server.line("draining")

        assert 503 == server.manage("/readyz").status
        assert [] == statuses
        assert 200 == server.get("/").status
    assert [200] == statuses


def test_workers_are_replaced_while_one_that_was_replaced_finishes(copy: Path, tmp_path: Path) -> None:
    with serving(copy, tmp_path) as server, held(server, copy) as statuses:
        before = workers(server)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.lines("worker ended", reason="reload"), "the one without a request")
        good = append(copy, BROKEN)
        for pid in workers(server) - before:
            psutil.Process(pid).kill()
        wait_until(lambda: server.lines("worker failed to start"), "no new worker")

        assert 503 == server.manage("/readyz").status, "who leaves answers nobody"
        wait_until(lambda: "no worker is alive" in server.manage("/livez").body.decode(), "the same of liveness")

        (copy / "service" / "views.py").write_text(good)
        wait_until(lambda: server.manage("/readyz").status == 200, "workers serve again")
        assert 200 == server.get("/").status
        assert [] == statuses
    assert [200] == statuses

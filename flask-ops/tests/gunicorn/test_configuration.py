"""Configurations that Gunicorn's master could not use, refused at the start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.copies import copy_service
from tests.gunicorn.changing import serving, workers
from tests.process import wait_until

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            [
                "worker_class = 'no_such_package.Worker'",
                "worker_tmp_dir = '/nonexistent'",
                "pidfile = '/nonexistent/pid'",
                "certfile = keyfile = '/nonexistent'",
            ],
            "Error",
        ),
        (["bind = '127.0.0.1:1'", "preload_app = True"], "exit code 78"),
    ],
)
def test_workers_stay(settings: list[str], expected: str, tmp_path: Path) -> None:
    copy = copy_service(tmp_path / "copy")
    conf = copy / "gunicorn.conf.py"
    good = conf.read_text()
    with serving(copy, tmp_path) as server:
        before = workers(server)
        for refused, setting in enumerate(settings):
            conf.write_text(f"{good}\n{setting}\n")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(server.lines("reload refused")) > refused, setting)  # noqa: B023 - called at once

        assert all(expected in line["reason"] for line in server.lines("reload refused"))
        assert before == workers(server)
        assert 200 == server.get("/").status


def test_one_that_can_be_used_leaves_only_what_it_asks_for(tmp_path: Path) -> None:
    copy, pid = copy_service(tmp_path / "copy"), tmp_path / "pid"
    with serving(copy, tmp_path) as server:
        before = workers(server)
        with (copy / "gunicorn.conf.py").open("a") as conf:
            conf.write(f"\npidfile = {str(pid)!r}\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(server)) == 2 and not workers(server) & before, "new workers")

        assert str(server.process.pid) == pid.read_text().strip()
        assert [pid] == list(tmp_path.glob("pid*"))

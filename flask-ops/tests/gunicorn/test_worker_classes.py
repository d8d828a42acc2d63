"""Worker classes whose stop would lose requests, refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops.ops.startup import EX_CONFIG
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, running, started, wait_until

pytestmark = pytest.mark.system

ENV = {"SERVICE_BIND": "127.0.0.1:0"}


def test_gthread_is_the_threaded_class_of_ours(tmp_path: Path) -> None:
    """Existing command lines use this name."""
    with running([BIN / "gunicorn", "-k", "gthread", "--threads=3", "--workers=1"], tmp_path, ENV) as server:
        wait_until(lambda: 3 == value(scrape(server), "service_worker_threads"), "three threads")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-k", "sync"], "sync with 4 threads is another class"),
        (["-k", "gevent"], "gevent"),
        (["-k", "tornado"], "tornado"),
        (["-k", "gunicorn.workers.sync.SyncWorker", "--threads=1"], "gunicorn.workers.sync.SyncWorker"),
    ],
)
def test_it_is_refused_in_one_line_with_the_cure(options: list[str], reason: str, tmp_path: Path) -> None:
    with started([BIN / "gunicorn", *options], tmp_path, ENV) as server:
        assert EX_CONFIG == server.process.wait(DEADLINE)

        line = server.line("worker_class cannot be used")
        assert reason in line["reason"]
        assert "--worker-class sync --threads 1" in line["hint"]
        assert "Traceback" not in server.text()

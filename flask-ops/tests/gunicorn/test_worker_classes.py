"""Worker classes whose stop would lose requests, refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops.ops.startup import EX_CONFIG
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, running, started, wait_until

pytestmark = pytest.mark.system

ENV = {"SERVICE_BIND": "127.0.0.1:0"}


@pytest.mark.parametrize(
    ("options", "threads"),
    [(["-k", "gthread", "--threads=3"], 3), (["-k", "sync"], 4), (["-k", "sync", "--threads=1"], 1)],
)
def test_names_in_existing_command_lines_are_our_class(options: list[str], threads: int, tmp_path: Path) -> None:
    with running([BIN / "gunicorn", "--workers=1", *options], tmp_path, ENV) as server:
        wait_until(lambda: threads == value(scrape(server), "service_worker_threads"), "the threads")


@pytest.mark.parametrize("name", ["gevent", "tornado", "gunicorn.workers.sync.SyncWorker"])
def test_any_other_class_is_refused_in_one_line_with_the_cure(name: str, tmp_path: Path) -> None:
    with started([BIN / "gunicorn", "-k", name, "--threads=1"], tmp_path, ENV) as server:
        assert EX_CONFIG == server.process.wait(DEADLINE)

        line = server.line("worker_class cannot be used")
        assert f"the service is not made for {name}" == line["reason"]
        assert "--worker-class gthread" in line["hint"]
        assert "Traceback" not in server.text()

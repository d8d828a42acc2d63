"""The reason for a worker's end, from known facts only."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from flask_ops.servers.gunicorn.start_failures import StartFailures
from flask_ops.servers.gunicorn.worker_exits import WorkerExits


def booting_worker(pid: int) -> Any:
    tmp = SimpleNamespace(last_update=lambda: 1.0, close=lambda: None)
    return SimpleNamespace(pid=pid, tmp=tmp, forked=1.0, aborted=False, max_requests=sys.maxsize)


def reap(worker: Any, monkeypatch: pytest.MonkeyPatch) -> StartFailures:
    """Reap the only worker."""
    failures = StartFailures()
    monkeypatch.setattr(Arbiter, "reap_workers", lambda server: server.WORKERS.clear())
    server = SimpleNamespace(WORKERS={worker.pid: worker}, LISTENERS=["one"])
    WorkerExits(server, failures).reap_workers(lambda _: None)
    return failures


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_a_worker_that_exits_with_0_before_it_serves_has_failed_to_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(HaltServer):
            reap(booting_worker(pid), monkeypatch)
    finally:
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_a_worker_with_an_unknown_exit_status_has_not_failed_to_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may have killed it. A replacement starts."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)  # its exit status is then unknown

    assert reap(booting_worker(pid), monkeypatch).is_pause

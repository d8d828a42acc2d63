"""Why a worker has ended is told by what is known of its end, and nothing is concluded from what is not."""

from __future__ import annotations

import logging
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


def reap(worker: Any) -> StartFailures:
    """Have the only worker be reaped, as Gunicorn does it."""
    failures = StartFailures()
    server: Any = object.__new__(Arbiter)
    server.WORKERS, server.LISTENERS = {worker.pid: worker}, ["one"]
    server.cfg, server.log = SimpleNamespace(child_exit=lambda *_: None), logging.getLogger("gunicorn.error")
    server.reexec_pid = server.dirty_arbiter_pid = 0
    WorkerExits(server, failures).reap_workers(lambda _: None)
    return failures


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_one_that_ends_with_success_before_it_serves_has_failed_to_boot() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(HaltServer):
            reap(booting_worker(pid))
    finally:
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_one_that_ends_between_the_last_look_and_the_reaping_has_not() -> None:
    """It may have been killed, and others are started in its place."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)  # so that nothing is known of it

    assert reap(booting_worker(pid)).is_pause

"""The reason for a worker's end, from known facts only."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.errors import HaltServer

from flask_ops.servers.gunicorn.worker_exits import WorkerExits


def reaped(status: int, *, others: int, monkeypatch: pytest.MonkeyPatch) -> WorkerExits:
    """Reap a worker that ended before it served, while ``others`` serve."""

    def worker(pid: int, heartbeat: float) -> Any:
        tmp = SimpleNamespace(last_update=lambda: heartbeat, close=lambda: None)
        return SimpleNamespace(pid=pid, tmp=tmp, forked=1.0, aborted=False, max_requests=sys.maxsize)

    ended = [(7, status)]
    monkeypatch.setattr(os, "waitpid", lambda *_: ended.pop() if ended else (0, 0))
    server = SimpleNamespace(
        WORKERS={7: worker(7, heartbeat=1.0), **{pid: worker(pid, heartbeat=2.0) for pid in range(100, 100 + others)}},
        LISTENERS=["one"],
        reexec_pid=0,
        dirty_arbiter_pid=0,
        cfg=SimpleNamespace(child_exit=lambda *_: None),
    )
    exits = WorkerExits(server)
    exits.reap_workers(lambda _: None)
    return exits


@pytest.mark.parametrize("status", [0, 3 << 8])
def test_only_if_no_other_worker_serves_a_failed_start_ends_the_server(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0 is a failure too: the worker has not served."""
    with pytest.raises(HaltServer):
        reaped(status, others=0, monkeypatch=monkeypatch)

    assert reaped(status, others=1, monkeypatch=monkeypatch).failures.is_pause


@pytest.mark.parametrize("number", [signal.SIGKILL, 40])
def test_a_worker_that_a_signal_ended_is_started_again(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 is a real-time signal without a name."""
    assert reaped(number, others=0, monkeypatch=monkeypatch).failures.is_pause

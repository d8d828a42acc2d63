"""A worker ends itself only if it is certain that none of its threads can serve on."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import PollableMethodQueue, TConn

from flask_ops.core import multiprocess
from flask_ops.metrics.store import STORE
from flask_ops.servers.gunicorn import stuck_worker
from flask_ops.servers.gunicorn.ready_connections import of_worker
from flask_ops.servers.gunicorn.serving_threads import ServingThreads
from flask_ops.servers.gunicorn.worker import ServiceWorker
from flask_ops.web import stuck_requests
from tests.process import DEADLINE, wait_until


class Worker(ServiceWorker):
    """A worker with only a queue to the main loop and one thread, which serves until the test releases it."""

    def __init__(self) -> None:
        self.alive = True
        self.nr, self.max_requests = 0, 1
        self.served: list[Any] = []
        self.release = threading.Event()
        self.began = threading.Event()
        self.method_queue = PollableMethodQueue()
        self.method_queue.init()
        self.tpool: Any = ServingThreads(1, self._take, of_worker(self))

    def _take(self, connection: Any) -> None:
        self.began.set()
        self.release.wait(DEADLINE)
        self.served.append(connection)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    ended = threading.Event()

    def turn() -> None:
        while not ended.is_set():
            made.method_queue.run_callbacks(None)

    loop = threading.Thread(target=turn)
    loop.start()
    made.tpool.submit("first")
    made.began.wait(DEADLINE)
    try:
        yield made
    finally:
        made.release.set()
        ended.set()
        loop.join(DEADLINE)
        made.tpool.shutdown(wait=True)
        made.method_queue.close()


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _number: made.append(pid))
    return made


def test_what_waits_is_served_where_a_thread_has_become_free(worker: Worker, kills: list[int]) -> None:
    for name in ("second", "third"):
        worker.tpool.submit(name)

    stuck_worker.end_process(worker, list)

    assert [] == kills
    worker.release.set()
    wait_until(lambda: worker.served == ["first", "second", "third"], "all were served, in their order")


def test_a_worker_that_is_being_ended_is_left_alone(worker: Worker, kills: list[int]) -> None:
    worker.alive = False

    stuck_worker.end_process(worker, lambda: pytest.fail("asked"))

    assert [] == kills


def test_a_worker_that_has_served_its_requests_is_not_left_alone(worker: Worker, kills: list[int]) -> None:
    """Its replacement starts only after its end."""
    worker.alive, worker.nr = False, 1
    asked = Mock(return_value=[])

    stuck_worker.end_process(worker, asked)

    asked.assert_called_once()
    assert [] == kills


def test_nothing_is_decided_where_the_main_loop_does_not_stand_still(
    worker: Worker, kills: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stuck_worker, "PARK_SECONDS", 0.01)
    monkeypatch.setattr(worker.method_queue, "defer", lambda _callback: None)

    stuck_worker.end_process(worker, lambda: pytest.fail("asked"))

    assert [] == kills


def test_who_waits_is_answered_and_the_master_is_told(
    worker: Worker, kills: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(multiprocess.VARIABLE, str(tmp_path))
    monkeypatch.setattr(STORE, "identity", lambda: "7")
    ours, theirs = socket.socketpair()
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    worker.tpool.submit(TConn(Config(), ours, ("192.0.2.1", 1), ""))

    stuck_worker.end_process(worker, lambda: [{"route": "/slow"}])

    with theirs, theirs.makefile("rb") as answer:
        assert answer.read().startswith(b"HTTP/1.1 503 ")
    assert [os.getpid()] == kills
    assert {"requests_lost": [{"route": "/slow"}], "connections_refused": 1} == stuck_requests.taken_down(tmp_path, "7")
    ours.close()

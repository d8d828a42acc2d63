"""New connections, and which worker accepts them."""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from flask_ops.servers.gunicorn import new_connections
from flask_ops.servers.gunicorn.new_connections import BUSY_SECONDS, AcceptingWorker
from tests.connections import whole_response
from tests.exposition import scrape, value
from tests.process import DEADLINE, wait_until
from tests.servers import serve


@pytest.mark.system
@pytest.mark.parametrize("at_once", [1, 8], ids=["one after the other", "at once"])
def test_no_request_waits_in_one_worker_while_another_has_a_free_thread(at_once: int, tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, ready="/readyz") as server:
        wait_until(lambda: value(scrape(server), "service_worker_threads") == 8, "both workers serve")
        served = 0
        for turn in range(5):
            release = tmp_path / f"release-{turn}"
            with ThreadPoolExecutor(8) as clients:
                answers = []
                try:
                    for _ in range(0, 8, at_once):
                        answers += [clients.submit(server.get, f"/slow?s=60&until={release}") for _ in range(at_once)]
                        served += at_once
                        wait_until(lambda: len(server.lines("slow view")) == served, "all are being served")  # noqa: B023 - called at once
                finally:
                    release.touch()
            assert [200] * 8 == [answer.result().status for answer in answers]


@pytest.mark.system
def test_clients_that_never_pause_do_not_keep_others_waiting(tmp_path: Path) -> None:
    """Otherwise clients whose connections were accepted get all answers, and others a 503 after a second."""
    request = b"GET /slow?s=0.01 HTTP/1.1\r\nHost: test\r\n\r\n"
    answers: Counter[socket.socket] = Counter()
    with serve("gunicorn", tmp_path, {"SERVICE_QUEUE_SECONDS": "0"}) as server, ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(128):  # 16 for each thread
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE))
            selector.register(client, selectors.EVENT_READ)
            client.sendall(request)
        while len(answers) < 128:
            for key, _ in selector.select(DEADLINE):
                assert isinstance(key.fileobj, socket.socket)
                assert 200 == whole_response(key.fileobj).status
                answers[key.fileobj] += 1
                assert answers[key.fileobj] < 50
                key.fileobj.sendall(request)


class Worker(AcceptingWorker):
    """A worker with four threads, without processes and sockets. Clients always wait."""

    cfg = Mock(threads=4)
    _share, _limit = 20, 500
    nr = 0

    def __init__(self, connections: int, *, is_overloaded: bool = False) -> None:
        self.nr_conns = connections
        self.admission = Mock(is_overloaded=is_overloaded)
        self.keepalived_conns = {}
        self._expected = {}
        self.accepted: list[int] = []

    def collect(self) -> None:
        """Do nothing: no connection has a request."""

    def accept_up_to(self, limit: int, _listener: object) -> None:
        """Note the number of connections, all of which have a request."""
        self.accepted.append(limit - self.nr_conns)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    now = Mock(return_value=0.0)
    monkeypatch.setattr(new_connections, "time", Mock(monotonic=now))
    return now


def test_a_busy_worker_lets_others_go_first_then_accepts_as_many_as_it_serves(clock: Mock) -> None:
    worker = Worker(4)
    worker.accept(None)
    assert ([], False) == (worker.accepted, worker.may_accept(clock()))

    clock.return_value += BUSY_SECONDS
    worker.nr += 30
    for served in (0, 7, 0):
        worker.nr += served
        assert worker.may_accept(clock())
        worker.accept(None)
    assert ([30, 7], False) == (worker.accepted, worker.may_accept(clock()))


def test_a_worker_accepts_nothing_while_slow_requests_hold_its_threads(clock: Mock) -> None:
    worker = Worker(4)
    for _ in range(10):
        worker.accept(None)
        assert not worker.may_accept(clock())
        clock.return_value += BUSY_SECONDS

    assert [] == worker.accepted


def test_a_busy_worker_accepts_again_as_soon_as_a_thread_is_free(clock: Mock) -> None:
    """Otherwise clients with one request per connection would wait for 20 ms again and again."""
    worker = Worker(4)
    worker.accept(None)
    assert not worker.may_accept(clock())

    worker.nr_conns = 3
    for _ in range(2):
        assert worker.may_accept(clock())
        worker.accept(None)
    assert [1, 1] == worker.accepted


def test_an_overloaded_worker_with_a_free_thread_accepts_at_once() -> None:
    worker = Worker(3, is_overloaded=True)
    worker.accept(None)

    assert [1] == worker.accepted


def test_of_overloaded_workers_the_one_with_the_fewest_connections_accepts_first(clock: Mock) -> None:
    """Otherwise a proxy that keeps them would send most requests to one worker, after the overload too."""
    workers = [Worker(connections, is_overloaded=True) for connections in (40, 200, 450)]
    for worker in workers:
        worker.accept(None)
    assert [[]] * 3 == [worker.accepted for worker in workers]

    order: list[int] = []
    while len(order) < 3:
        clock.return_value += 0.001
        order += [worker.nr_conns for worker in workers if worker.may_accept(clock()) and worker.nr_conns not in order]
    assert [40, 200, 450] == order
    for worker in workers:
        worker.accept(None)
    assert [[100], [100], [50]] == [worker.accepted for worker in workers]

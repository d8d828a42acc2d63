"""The threads in which a worker serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask_ops.servers.gunicorn.ready_connections import of_worker
from flask_ops.servers.gunicorn.serving_threads import ServingThreads
from tests.process import DEADLINE, wait_until


@contextmanager
def serving(number: int, serve: Any) -> Iterator[ServingThreads]:
    threads = ServingThreads(number, serve, of_worker(None))
    try:
        yield threads
    finally:
        threads.shutdown(wait=True)


@contextmanager
def busy(served: list[int]) -> Iterator[tuple[ServingThreads, threading.Event]]:
    """Yield one thread that serves connection 0 until the event is set, and then adds each one to ``served``."""
    go, began = threading.Event(), threading.Event()

    def serve(number: int) -> None:
        began.set()
        assert go.wait(DEADLINE)
        served.append(number)

    with serving(1, serve) as threads:
        threads.submit(0)
        assert began.wait(DEADLINE)
        yield threads, go


def test_each_connection_is_served_once_in_the_order_of_its_coming() -> None:
    served: list[int] = []

    with serving(1, served.append) as threads:
        for number in range(1000):
            threads.submit(number)

    assert list(range(1000)) == served


def test_as_many_are_served_at_one_time_as_there_are_threads() -> None:
    meet = threading.Barrier(3)

    with serving(3, lambda _: meet.wait(DEADLINE)) as threads:
        for number in range(6):
            threads.submit(number)

    assert not meet.broken


def test_a_shutdown_finishes_the_work_and_can_be_repeated() -> None:
    before = set(threading.enumerate())
    go, served = threading.Event(), list[int]()

    def serve(number: int) -> None:
        go.wait(DEADLINE)
        served.append(number)

    with serving(2, serve) as threads:
        for number in range(10):
            threads.submit(number)
        threads.shutdown(wait=False)
        threads.shutdown(wait=False)
        assert [] == served
        go.set()

    assert list(range(10)) == sorted(served)
    assert before == set(threading.enumerate())


def test_an_idle_thread_keeps_no_connection_from_being_freed() -> None:
    freed = threading.Event()

    class Connection:
        def __del__(self) -> None:
            freed.set()

    with serving(1, lambda _: None) as threads:
        threads.submit(Connection())
        wait_until(freed.is_set, "the connection is freed")


def test_what_no_thread_has_begun_with_can_be_taken_back() -> None:
    served: list[int] = []
    with busy(served) as (threads, go):
        for number in (1, 2):
            threads.submit(number)
        threads.shutdown(wait=False)

        assert [1, 2] == threads.withdraw()
        go.set()

    assert [0] == served, "and the shutdown is not forgotten"


def test_the_first_ones_go_before_all_others_in_the_order_of_their_coming() -> None:
    served: list[int] = []
    with busy(served) as (threads, go):
        for number in (4, 5, 6):
            threads.submit(number)
        for number in (1, 2, 3):
            threads.submit(number, first=True)
        go.set()

    assert list(range(7)) == served


def test_the_first_ones_can_be_taken_back_too() -> None:
    with busy([]) as (threads, go):
        threads.submit(2)
        threads.submit(1, first=True)

        assert {1, 2} == set(threads.withdraw())
        go.set()

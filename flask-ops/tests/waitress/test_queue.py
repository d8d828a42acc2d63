"""The queue of Waitress's threads: critical requests go first, but only under overload."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from flask_ops.servers.waitress_queue import Queue
from tests.process import DEADLINE

PATHS = ("/a", "/pay", "/b", "/prefix/pay", "/c")


class Channel:
    adj = SimpleNamespace(url_prefix="/prefix")

    def __init__(self, path: str, serve: Any, *, error: bool = False) -> None:
        self.path, self.service = path, lambda: serve(self.path)
        # Waitress's parser has no path if the request is invalid.
        self.requests = [SimpleNamespace(error=True) if error else SimpleNamespace(error=None, path=path)]


@pytest.mark.parametrize(
    ("is_overloaded", "order"),
    [(False, [*PATHS, "invalid"]), (True, ["/pay", "/prefix/pay", "/a", "/b", "/c", "invalid"])],
)
def test_critical_requests_go_first_under_overload(order: list[str], *, is_overloaded: bool) -> None:
    admission: Any = SimpleNamespace(is_overloaded=is_overloaded, is_critical=lambda path: path == "/pay")
    queue, served, go, over = Queue(admission), list[str](), threading.Event(), threading.Event()
    queue.set_thread_count(1)
    queue.add_task(Channel("/occupied", lambda _: go.wait(DEADLINE)))
    for path in PATHS:
        queue.add_task(Channel(path, served.append))
    queue.add_task(Channel("invalid", served.append, error=True))
    queue.add_task(Channel("/last", lambda _: over.set()))
    go.set()

    assert over.wait(DEADLINE)
    assert order == served
    queue.shutdown()

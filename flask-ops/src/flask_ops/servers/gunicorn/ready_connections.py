"""Connections that have a request, taken by the serving threads themselves.

In Gunicorn, the main loop waits for the requests of all connections, and wakes a thread for each. Without this module,
a request of a single client would cost a third more.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from functools import partial
from queue import SimpleQueue
from selectors import EVENT_READ
from typing import Any

IS_POSSIBLE = sys.platform == "linux"
"""epoll gives each request to one of the threads that wait. Elsewhere, the main loop waits."""
_MANY = 256


class ReadyConnections:
    """The kernel's list of connections with a request, in the order of their arrival.

    Every method can be called from any thread.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._expected: dict[int, Any] = {}
        self._bell = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)

    def expect(self, conn: Any) -> None:
        """Add a connection as soon as its next request is here. Raises OSError or ValueError if it is closed."""
        descriptor = conn.sock.fileno()
        self._expected[descriptor] = conn
        try:
            self._watch(descriptor)
        except (OSError, ValueError):
            self._expected.pop(descriptor, None)
            raise

    def _watch(self, descriptor: int) -> None:
        once = select.EPOLLIN | select.EPOLLONESHOT
        try:
            self._epoll.modify(descriptor, once)
        except FileNotFoundError:  # its first request
            self._epoll.register(descriptor, once)

    def forget(self, conn: Any) -> bool:
        """Expect no request of a connection any more. Return False if a thread has taken it."""
        descriptor = conn.sock.fileno()
        if self._expected.pop(descriptor, None) is None:
            return False
        self._epoll.unregister(descriptor)
        return True

    def take(self) -> Any:
        """Wait for a connection with a request. Return None after ``ring``."""
        ((descriptor, _),) = self._epoll.poll(-1, 1)
        if descriptor != self._bell:
            return self._expected.pop(descriptor, None)
        with contextlib.suppress(BlockingIOError):  # another thread was first
            os.eventfd_read(descriptor)
        return None

    def take_all(self) -> list[Any]:
        """Return all connections with a request. Do not wait."""
        found = (self._expected.pop(descriptor, None) for descriptor, _ in self._epoll.poll(0, _MANY))
        return [conn for conn in found if conn is not None]

    def ring(self) -> None:
        """Make one thread return from ``take``."""
        os.eventfd_write(self._bell, 1)


class _PolledConnections(ReadyConnections):
    """The same without epoll: the main loop of ``worker`` waits for the requests, and queues each connection."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._rings: SimpleQueue[None] = SimpleQueue()

    def expect(self, conn: Any) -> None:
        self._worker.poller.register(conn.sock, EVENT_READ, partial(self._worker.on_client_socket_readable, conn))

    def forget(self, conn: Any) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):  # a thread has not yet registered it
            self._worker.poller.unregister(conn.sock)
        return True

    def take(self) -> Any:
        return self._rings.get()

    def take_all(self) -> list[Any]:
        return []

    def ring(self) -> None:
        self._rings.put(None)


def of_worker(worker: Any) -> ReadyConnections:
    """Return the connections of a threaded worker of Gunicorn."""
    return ReadyConnections() if IS_POSSIBLE else _PolledConnections(worker)

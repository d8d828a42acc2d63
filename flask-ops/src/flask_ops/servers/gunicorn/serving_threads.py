"""The threads that serve the requests of a worker."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from flask_ops.servers.gunicorn.ready_connections import ReadyConnections

_END, _LOOK_AT_FIRST = object(), object()
"""Two orders to a serving thread, in its queue in the place of a connection."""


class ServingThreads:
    """Calls ``serve`` with each submitted connection, and with each of ``ready``, in one of ``number`` threads.

    Gunicorn's ThreadPoolExecutor creates a Future with a condition and a lock for each request. Gunicorn 27 calls its
    shutdown in signal handlers too (SIGQUIT, SIGINT). It then waits for a lock that the interrupted main loop may hold.
    In 2 of 25 tries directly after a request, the worker hung until the master killed it 30 s later.
    """

    def __init__(self, number: int, serve: Callable[[Any], object], ready: ReadyConnections | None = None) -> None:
        self._connections: SimpleQueue[Any] = SimpleQueue()
        self._first: deque[Any] = deque()
        self._serve, self._ready = serve, ready
        self._threads = [Thread(target=self._run, name=f"serving {index}") for index in range(1, number + 1)]
        for thread in self._threads:
            thread.start()

    def submit(self, connection: Any) -> None:
        """Queue ``connection`` for the next free thread."""
        self._put(connection)

    def submit_first(self, connection: Any) -> None:
        """Queue ``connection`` before all others."""
        self._first.append(connection)
        self._put(_LOOK_AT_FIRST)

    def withdraw(self) -> list[Any]:
        """Take back the connections that wait for a thread."""
        connections = self._ready.take_all() if self._ready else []
        try:
            while True:
                connections.append(self._connections.get_nowait())
        except Empty:
            pass
        for _ in range(connections.count(_END)):  # the threads still need them
            self._put(_END)
        waiting = [connection for connection in connections if connection not in (_END, _LOOK_AT_FIRST)]
        with contextlib.suppress(IndexError):
            while True:
                waiting.append(self._first.popleft())
        return waiting

    def shutdown(self, *, wait: bool) -> None:
        """End the threads after all submitted connections are served. The interpreter waits for the threads.

        You can call this again, and in a signal handler: ``SimpleQueue.put`` is reentrant.
        """
        for _ in self._threads:
            self._put(_END)
        if wait:
            for thread in self._threads:
                thread.join()

    def _put(self, connection: Any) -> None:
        self._connections.put(connection)
        if self._ready:
            self._ready.ring()

    def _next(self) -> Any:
        if self._ready is None:
            return self._connections.get()
        while True:
            with contextlib.suppress(Empty):  # what is queued has waited longer
                return self._connections.get_nowait()
            connection = self._ready.take()
            if connection is not None:
                return connection

    def _run(self) -> None:
        while True:
            connection = self._next()
            if connection is _END:
                return
            while self._first:
                with contextlib.suppress(IndexError):  # another thread took it
                    self._serve(self._first.popleft())
            if connection is not _LOOK_AT_FIRST:
                self._serve(connection)
            del connection  # otherwise it stays open until the next one comes

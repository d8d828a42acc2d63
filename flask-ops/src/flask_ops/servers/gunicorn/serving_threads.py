"""The threads that serve the requests of a worker."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import Any

from flask_ops.servers.gunicorn.ready_connections import ReadyConnections


class ServingThreads:
    """Calls ``serve`` with each submitted connection, and with each of ``ready``, in one of ``number`` threads.

    Gunicorn's ThreadPoolExecutor creates a Future with a condition and a lock for each request. Gunicorn 27 calls its
    shutdown in signal handlers too (SIGQUIT, SIGINT). It then waits for a lock that the interrupted main loop may hold.
    In 2 of 25 tries directly after a request, the worker hung until the master killed it 30 s later.
    """

    def __init__(self, number: int, serve: Callable[[Any], object], ready: ReadyConnections) -> None:
        self._serve, self._ready = serve, ready
        self._first: deque[Any] = deque()
        self._others: deque[Any] = deque()
        self.is_ending = False
        self._threads = [Thread(target=self._run, name=f"serving {index}") for index in range(1, number + 1)]
        for thread in self._threads:
            thread.start()

    def submit(self, connection: Any, *, first: bool = False) -> None:
        """Queue ``connection`` for the next free thread, ``first`` of all or last."""
        (self._first if first else self._others).append(connection)
        self._ready.ring()

    def withdraw(self) -> list[Any]:
        """Take back the connections that wait for a thread."""
        return [*self._ready.take_all(), *iter(self._next, None)]

    def shutdown(self, *, wait: bool) -> None:
        """End the threads after all submitted connections are served. The interpreter waits for the threads.

        You can call this again, and in a signal handler: it takes no lock.
        """
        self.is_ending = True
        for _ in self._threads:
            self._ready.ring()
        if wait:
            for thread in self._threads:
                thread.join()

    def _next(self) -> Any:
        """Return the connection that was queued first, None if there is none."""
        for queue in (self._first, self._others):
            if queue:
                with contextlib.suppress(IndexError):  # another thread took it
                    return queue.popleft()
        return None

    def _run(self) -> None:
        while True:
            connection = self._next()  # what is queued has waited longer
            if connection is None:
                if self.is_ending:
                    return
                connection = self._ready.take()
            if connection is not None:
                self._serve(connection)
            del connection  # otherwise it stays open until the next one comes

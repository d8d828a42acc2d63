"""The threads in which a worker of Gunicorn's serves."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any


class ServingThreads:
    """Calls ``serve`` with each connection that is submitted, in one of ``number`` threads.

    Gunicorn's ThreadPoolExecutor makes a Future for each request, with a condition and its lock. Its shutdown, which
    Gunicorn 27 calls in a signal handler too (SIGQUIT, SIGINT), waits for a lock that the interrupted main loop may
    hold: in 2 of 25 tries right after a request, until the master killed the worker 30 s later.
    """

    def __init__(self, number: int, serve: Callable[[Any], object]) -> None:
        self._connections: SimpleQueue[Any] = SimpleQueue()
        self._serve = serve
        self._threads = [Thread(target=self._run, name=f"serving {index}") for index in range(1, number + 1)]
        for thread in self._threads:
            thread.start()

    def submit(self, connection: Any) -> None:
        """Have ``connection``, which is not None, served as soon as a thread is free."""
        self._connections.put(connection)

    def withdraw(self) -> list[Any]:
        """Take back the connections that no thread has begun with."""
        connections = []
        try:
            while True:
                connections.append(self._connections.get_nowait())
        except Empty:
            pass
        for _ in range(connections.count(None)):  # of a shutdown
            self._connections.put(None)
        return [connection for connection in connections if connection is not None]

    def shutdown(self, *, wait: bool) -> None:
        """End the threads once all is served that was submitted so far; the interpreter waits for them.

        May be called again, and in a signal handler: to put into a SimpleQueue is reentrant.
        """
        for _ in self._threads:
            self._connections.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        while True:
            connection = self._connections.get()
            if connection is None:
                return
            self._serve(connection)
            del connection  # else it would be kept open until the next one comes

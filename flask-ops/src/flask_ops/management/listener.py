"""A small HTTP server in one thread of a process whose main thread forks.

It answers probes and scrapes even if other threads are busy or its clients are slow. Forks happen only while its
thread waits (``flask_ops.core.forks``). It does not use asyncio: a forked child can neither close asyncio's loop
nor drop it without a line in the log. asyncio also costs the parent 11 MiB.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection
from concurrent.futures import Future

from flask_ops.core.address import Address
from flask_ops.core.forks import FORK_GATE
from flask_ops.core.http import Handler
from flask_ops.management.listener_loop import Loop
from flask_ops.management.listening_socket import address_of, bind, inherit, remove_abandoned

STOP_SECONDS = 5.0
"""Maximum time that ``stop`` waits for a handler."""


class Listener:
    """A listening socket and, once started, the thread that serves it.

    After a fork, the child has only the socket. It may start its own thread for it, or close it. Requests for
    ``slow_paths`` wait for each other; other requests do not wait for them.
    """

    def __init__(self, listening: socket.socket, handler: Handler, slow_paths: Collection[str] = ()) -> None:
        listening.setblocking(False)
        self.address: Address = address_of(listening)
        self._listening = listening
        self._handler, self._slow_paths = handler, slow_paths
        self._thread: threading.Thread | None = None
        self._loop: Loop | None = None

    @classmethod
    def bind(cls, address: Address, handler: Handler, slow_paths: Collection[str] = ()) -> Listener:
        """Listen on ``address`` at once; clients wait until ``start``. Raises OSError if it is in use."""
        return cls(bind(address), handler, slow_paths)

    @classmethod
    def inherit(cls, descriptor: int, handler: Handler, slow_paths: Collection[str] = ()) -> Listener:
        """Take over a listening socket that exec left open. Raises OSError if the descriptor is anything else."""
        return cls(inherit(descriptor), handler, slow_paths)

    def fileno(self) -> int:
        """Return the descriptor of the listening socket, -1 once it is closed."""
        return self._listening.fileno()

    def start(self) -> None:
        """Start the thread, and return when it serves. Raises OSError if the process has no descriptor left."""
        loop: Future[Loop] = Future()
        thread = threading.Thread(target=self._run, args=[loop], name="management-listener", daemon=True)
        thread.start()
        self._thread, self._loop = thread, loop.result()

    def stop(self) -> None:
        """Close everything and end the thread, within ``STOP_SECONDS`` even if the handler hangs.

        Call this before the interpreter ends: the thread must not write to standard error at that time.
        """
        if self._loop is not None and self._thread is not None:
            self._loop.stop()
            self._thread.join(STOP_SECONDS)
            self._thread = self._loop = None
        self._listening.close()
        if self.address.unix:
            remove_abandoned(self.address.unix)

    def close_in_child(self) -> None:
        """Close the listening socket in a forked child; the parent's stays open."""
        self._listening.close()

    def _run(self, created: Future[Loop]) -> None:
        with FORK_GATE.member(self._forget_in_child):
            try:
                self._loop = loop = Loop(self._listening, self._handler, self._slow_paths)
            except OSError as error:
                created.set_exception(error)
                return
            created.set_result(loop)
            try:
                loop.run()
            finally:
                loop.close()

    def _forget_in_child(self) -> None:
        if self._loop is not None:
            self._loop.close()
        self._thread = self._loop = None

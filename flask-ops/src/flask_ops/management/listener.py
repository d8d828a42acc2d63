"""A small HTTP server in one thread of a process whose main thread forks.

It answers probes and scrapes even if other threads are busy or its clients are slow. Forks happen only while its
thread waits (``flask_ops.core.forks``). It does not use asyncio: a forked child can neither close asyncio's loop nor
drop it without a line in the log. asyncio also costs the parent 11 MiB.
"""

from __future__ import annotations

import contextlib
import errno
import math
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog

from flask_ops.core.address import Address
from flask_ops.core.forks import FORK_GATE
from flask_ops.core.http import Handler
from flask_ops.management.connection import Connection, attempt
from flask_ops.management.listening_socket import (
    address_of,
    bind,
    client_of,
    inherit,
    remove_abandoned,
)

STOP_SECONDS = 5.0
"""Maximum time that ``stop`` waits for a handler."""
FINISH_SECONDS = 0.5
"""For the answers to the clients that are connected at the stop."""
CONNECTIONS = 512 if sys.platform != "win32" else 500  # select() on Windows is limited to 512 sockets
RESERVED_DESCRIPTORS = 96
"""Descriptors for the rest of the process, which opens files for each scrape and for each worker. The default limit of
macOS, 256, is less than ``CONNECTIONS``."""
ACCEPTED_AT_ONCE = 64

_log = structlog.stdlib.get_logger(__name__)


class Listener:
    """A listening socket and, once started, the thread that serves it.

    After a fork, the child has only the socket. It may start its own thread for it, or close it. Each turn of the
    thread makes at most one shared answer, so that they delay other requests as little as possible.
    """

    def __init__(self, listening: socket.socket, handler: Handler) -> None:
        listening.setblocking(False)
        self.address: Address = address_of(listening)
        self._listening = listening
        self._handler = handler
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._end = math.inf
        self.background: Callable[[], float] = lambda: math.inf
        """Work of the thread between requests. It returns the seconds until the next call, and raises nothing."""
        self._background_due = 0.0
        self._connections: set[Connection] = set()

    @classmethod
    def bind(cls, address: Address, handler: Handler) -> Listener:
        """Listen on ``address`` at once; clients wait until ``start``. Raises OSError if it is in use."""
        return cls(bind(address), handler)

    @classmethod
    def inherit(cls, descriptor: int, handler: Handler) -> Listener:
        """Take over a listening socket that exec left open. Raises OSError if the descriptor is anything else."""
        return cls(inherit(descriptor), handler)

    def fileno(self) -> int:
        """Return the descriptor of the listening socket, -1 once it is closed."""
        return self._listening.fileno()

    def start(self) -> None:
        """Start the thread, and return when it serves. Raises OSError if the process has no descriptor left."""
        self._most = _most_connections()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        serving = threading.Event()  # from then on, a forked child closes its copies of the descriptors
        self._thread = threading.Thread(target=self._run, args=[serving], name="management-listener", daemon=True)
        self._thread.start()
        serving.wait()

    def stop(self) -> None:
        """Close everything and end the thread, within ``STOP_SECONDS`` even if the handler hangs.

        Call this before the interpreter ends: the thread must not write to standard error at that time.
        """
        if self._thread is not None:
            self._stopping = True
            with contextlib.suppress(OSError):  # the thread has already ended
                self._waker.send(b"x")
            self._thread.join(STOP_SECONDS)
            self._thread = None
        self._listening.close()
        if self.address.unix:
            remove_abandoned(self.address.unix)

    def close_in_child(self) -> None:
        """Close the listening socket in a forked child; the parent's stays open."""
        self._listening.close()

    def _run(self, serving: threading.Event) -> None:
        with FORK_GATE.member(self._close):
            serving.set()
            try:
                self._serve()
            finally:
                self._close()

    def _serve(self) -> None:
        while not self._stopping:
            self._turn()
        # A client that has just connected, or whose request has begun, would get a reset instead of its answer.
        self._selector.unregister(self._listening)
        self._selector.unregister(self._woken)
        self._end = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < self._end and any(each.expects_answer for each in self._connections):
            self._turn()

    def _close(self) -> None:
        """Close all descriptors except the listening socket. In a forked child, the parent's stay open.

        Unregister nothing, because the parent and the child share one list of registrations.
        """
        with contextlib.suppress(OSError):  # a child does not inherit the descriptor of kqueue
            self._selector.close()
        for item in [self._woken, self._waker, *(each.socket for each in self._connections)]:
            item.close()
        self._connections.clear()

    def _turn(self) -> None:
        waiting = [each for each in self._connections if each.request is not None]
        due = min(self._end, self._background_due)
        timeout = min([due, *(each.deadline for each in self._connections)]) - time.monotonic()
        with FORK_GATE.waiting():
            events = self._selector.select(0 if waiting else None if timeout == math.inf else max(timeout, 0))
        for each in {*waiting, *(key.data for key, _ in events if key.data)}:
            self._take(each, each.proceed)
        now = time.monotonic()
        for each in [each for each in self._connections if each.deadline <= now and each.request is None]:
            self._take(each, each.expire)
        if any(key.fileobj is self._listening for key, _ in events):
            self._accept()
        self._share()
        if self._background_due <= now and not self._stopping:
            self._background_due = time.monotonic() + self.background()

    def _share(self) -> None:
        """Make one answer, and send it to all clients that wait for it."""
        promised = [(each, each.shared, each.request) for each in self._connections if each.shared and each.request]
        if not promised:
            return
        _, first, request = min(promised, key=lambda item: (item[1].unbounded, item[2].received))
        answer = attempt(request, first.make)
        for connection, shared, _ in promised:
            if shared.key == first.key:
                self._take(connection, partial(connection.respond, answer))

    def _take(self, connection: Connection, step: Callable[[], None]) -> None:
        """Take a step of a connection. Then answer its request, or keep the promise of a shared answer."""
        try:
            step()
            if connection.request is not None and connection.shared is None:
                connection.answer(self._handler)
            self._selector.modify(connection.socket, connection.events, connection)
        except BlockingIOError:
            return
        except (EOFError, OSError):
            self._drop(connection)
        except Exception:  # noqa: BLE001 - logged, and the other connections go on
            _log.exception("unhandled exception in the management listener")
            self._drop(connection)
        with FORK_GATE.waiting():
            pass  # a fork waits for one handler at most

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, peer = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self._make_room()
                continue  # otherwise that client has gone
            if len(self._connections) >= self._most:
                self._make_room()
            connection = Connection(accepted, client_of(accepted, peer))
            self._selector.register(accepted, connection.events, connection)
            self._connections.add(connection)
            self._take(connection, connection.proceed)  # answer a probe before another connection can replace it

    def _make_room(self) -> None:
        """Drop the longest idle connection of the client that has most of them."""
        numbers = Counter(each.client for each in self._connections)
        if numbers:
            self._drop(min(self._connections, key=lambda each: (-numbers[each.client], each.active)))
        else:
            with FORK_GATE.waiting():
                time.sleep(0.01)  # the rest of the process uses all descriptors

    def _drop(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _most_connections() -> int:
    """Return the maximum number of open connections."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return CONNECTIONS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return CONNECTIONS
    return min(CONNECTIONS, max(limit - RESERVED_DESCRIPTORS, limit // 4))

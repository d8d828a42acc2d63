"""The event loop of the management listener, which takes turns with forks."""

from __future__ import annotations

import contextlib
import errno
import math
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial

import structlog

from flask_ops.core.forks import FORK_GATE
from flask_ops.core.http import Handler
from flask_ops.management.peer import Peer

CONNECTIONS = 512 if sys.platform != "win32" else 500  # select() on Windows is limited to 512 sockets
RESERVED_DESCRIPTORS = 96
"""Descriptors for the rest of the process, which opens files for each scrape and for each worker."""
ACCEPTED_AT_ONCE = 64
FINISH_SECONDS = 0.5
"""For the answers to the clients that are connected when the loop is stopped."""

_log = structlog.stdlib.get_logger(__name__)


class Loop:
    """Serves the connections to one listening socket in the thread that calls ``run``.

    Each turn answers at most one request for ``slow_paths``, so that many of them delay no other request.
    """

    def __init__(self, listening: socket.socket, handler: Handler, slow_paths: Collection[str] = ()) -> None:
        self._listening = listening
        self._handler, self._slow_paths = handler, slow_paths
        self._stopping = False
        self._end = math.inf
        self._peers: set[Peer] = set()
        self._ready: set[Peer] = set()  # may have received another request already
        self._slow: deque[Peer] = deque()  # have a slow request next, in order of arrival
        self._most = _most_connections()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until ``stop``."""
        while not self._stopping:
            self._wait_and_serve()
        # A client that has just connected, or whose request has begun, would get a reset instead of its answer.
        self._selector.unregister(self._listening)
        self._selector.unregister(self._woken)
        self._end = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < self._end and any(peer.expects_answer for peer in self._peers):
            self._wait_and_serve()

    def stop(self) -> None:
        """End ``run`` in another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):  # ``run`` has already ended
            self._waker.send(b"x")

    def close(self) -> None:
        """Close all descriptors except the listening socket. In a forked child, the parent's stay open.

        Unregister nothing, because the parent and the child share one list of registrations.
        """
        with contextlib.suppress(OSError):  # a child does not inherit the descriptor of kqueue
            self._selector.close()
        for item in [self._woken, self._waker, *(peer.socket for peer in self._peers)]:
            item.close()

    def _wait_and_serve(self) -> None:
        timeout = min([self._end, *(peer.deadline for peer in self._peers)]) - time.monotonic()
        with FORK_GATE.waiting():
            busy = self._ready or self._slow
            events = self._selector.select(0 if busy else None if timeout == math.inf else max(timeout, 0))
        ready, self._ready = self._ready, set()
        now = time.monotonic()
        steps: list[tuple[Peer, Callable[[], bool]]] = [(peer, partial(peer.proceed, slow=False)) for peer in ready]
        steps += [(key.data, key.data.turn) for key, _ in events if key.data and key.data not in ready]
        steps += [(peer, peer.expire) for peer in self._peers if peer.deadline <= now]
        if any(key.fileobj is self._listening for key, _ in events):
            self._accept()
        for peer, step in steps:
            self._take_turn(peer, step)
        if self._slow:
            peer = self._slow.popleft()
            if peer.waits:
                self._take_turn(peer, peer.proceed)

    def _take_turn(self, peer: Peer, step: Callable[[], bool]) -> None:
        if peer in self._peers:
            self._take(peer, step)
            with FORK_GATE.waiting():
                pass  # a fork waits for one handler at most

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self._make_room()
                continue  # otherwise that client has gone
            if len(self._peers) >= self._most:
                self._make_room()
            peer = Peer(connection, self._handler, self._slow_paths)
            self._selector.register(connection, peer.events, peer)
            self._peers.add(peer)
            self._take(peer, peer.turn)  # answer a probe before another connection can replace it

    def _make_room(self) -> None:
        if self._peers:
            self._drop(min(self._peers, key=lambda peer: peer.active))
        else:
            with FORK_GATE.waiting():
                time.sleep(0.01)  # the rest of the process uses all descriptors

    def _take(self, peer: Peer, step: Callable[[], bool]) -> None:
        try:
            waited = peer.waits
            if step():
                self._ready.add(peer)
            if peer.waits and not waited:
                self._slow.append(peer)
            self._selector.modify(peer.socket, peer.events, peer)
        except BlockingIOError:
            return
        except (EOFError, OSError):
            self._drop(peer)
        except Exception:  # noqa: BLE001 - logged, and the other connections go on
            _log.exception("unhandled exception in the management listener")
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        self._peers.discard(peer)
        self._ready.discard(peer)
        self._selector.unregister(peer.socket)
        peer.socket.close()


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

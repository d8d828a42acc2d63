"""Connections that wait for a request, such as those that a load balancer keeps open.

Without this module, they would take the place of new clients. Here they hold only a descriptor, and the longest idle
one makes room for a new client.
"""

from __future__ import annotations

import math
import sys
import time
from types import SimpleNamespace
from typing import Any

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn import refusal
from flask_ops.servers.gunicorn.new_connections import AcceptingWorker, is_ready

IN_USE_SECONDS = 0.3
"""A connection whose last request is more recent does not make room: its client may be sending the next one."""
LAST_LINGER_SECONDS = 0.5
"""At the end of the worker, the time for all clients together to close their connection after the last response."""
SETTLE_SECONDS = 2.0
"""At a stop, the time to keep a connection after its last request: its client may be sending the next one. Gunicorn
uses the same time."""


class IdleConnections(dict[Any, None]):
    """Connections in the order of their last request. It has those methods of Gunicorn's deque that Gunicorn uses.

    The deque searches all connections to remove one: 18 us if there are 500. Threads may add connections at any time.
    """

    def remove(self, connection: Any) -> None:
        """Remove a connection, if it is present."""
        self.pop(connection, None)

    def __missing__(self, _index: int) -> Any:
        """Return the first connection. If a thread has just taken it, return a stand-in without expiry."""
        return (list(self) or [SimpleNamespace(timeout=math.inf)])[0]


class KeepingWorker(AcceptingWorker):
    """A threaded worker that keeps idle connections while it has room for them, and refuses late requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keepalived_conns = IdleConnections()
        self.max_keepalived = sys.maxsize  # otherwise Gunicorn closes a new connection rather than the longest idle one

    def handle(self, conn: Any) -> Any:
        """Serve the request that waits on a connection, or refuse it. Return whether to keep the connection."""
        if self.admission.is_queueing:
            keeps = refusal.refuse(conn, self.admission, closes=not self.alive or bool(DRAIN))
            if keeps is not None:
                return keeps
        return super().handle(conn)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Wait for events, at most until an idle connection may make room."""
        if not self._accepting:
            timeout = IN_USE_SECONDS if timeout is None else min(timeout, IN_USE_SECONDS)
        super().wait_for_and_dispatch_events(timeout)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close expired connections, and the longest idle one if there are too many. With ``force``, close all.

        The main loop calls it in each turn. It accepts connections while it has fewer than ``worker_connections``.
        """
        idle, now = self.keepalived_conns, time.monotonic()
        if self._is_busy(now):
            self.collect()
        for conn in list(idle):
            if not force and not self._is_due(conn, now):
                break
            if not self._take_back(conn):
                continue
            is_over = force or (self._is_due(conn, now) and not is_ready(conn))  # it belongs to no thread now
            if is_over or not self._wait_for_request(conn):
                self._drop(conn)
        has_room = self.nr_conns < self._limit
        if not has_room and idle:
            has_room = self.nr_conns == self._limit and self._is_unused(idle[0], now)
        self.worker_connections = sys.maxsize if has_room and self.may_accept(now) else 0
        end = now + LAST_LINGER_SECONDS
        while force and self.lingering and time.monotonic() < end:
            self.wait_for_and_dispatch_events(0.05)
        self.lingering.close_expired(force=force)

    def _is_due(self, conn: Any, now: float) -> bool:
        return bool(conn.timeout <= now or (self.nr_conns > self._limit and self._is_unused(conn, now)))

    def _is_unused(self, conn: Any, now: float) -> bool:
        return bool(conn.timeout - self.cfg.keepalive + IN_USE_SECONDS <= now)

    def _keep(self, conn: Any) -> bool:
        if not super()._keep(conn):
            return False
        if not self.alive:  # since a moment ago: _cap_keepalive may have missed this connection
            conn.timeout = min(conn.timeout, time.monotonic() + SETTLE_SECONDS)
        elif not self._accepting and not self._is_busy(time.monotonic()):
            self.method_queue.defer(int)  # does nothing, but wakes the main loop, which may accept again
        return True

    def _cap_keepalive(self, _deadline: float) -> None:
        """Limit how long connections are kept when the worker stops."""
        limit = time.monotonic() + SETTLE_SECONDS
        for conn in list(self.keepalived_conns):
            if conn.timeout > limit:  # otherwise it has this limit already
                conn.timeout += SETTLE_SECONDS - self.cfg.keepalive

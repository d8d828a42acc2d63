"""Connections that wait for a request, such as those that a load balancer keeps open.

Without this module, they would take the place of new clients, and a connection without a first request would hold a
thread for five seconds. Here they hold only a descriptor, and the longest idle one makes room for a new client.
"""

from __future__ import annotations

import math
import resource
import socket
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn import refusal
from flask_ops.servers.gunicorn.direct_worker import DirectWorker

if TYPE_CHECKING:
    from flask_ops.web.admission import Admission

FITTING_CONNECTIONS = 0
"""The value of ``worker_connections`` that lets ``connection_limit`` choose. A configuration file cannot compute it:
Gunicorn reads ``--threads`` and ``GUNICORN_CMD_ARGS`` later."""
CONNECTIONS = 500
"""Maximum number of connections of a worker, most of them idle. An idle one takes 3 KB of memory."""
CONNECTIONS_PER_THREAD = 5
"""The share of a worker. Beyond it, other workers accept first. With Gunicorn's limit of 1000 alone, one worker took 23
of 24 one-second requests on 2 x 4 threads. Five per thread spread them over the workers."""
GIVE_WAY_SECONDS = 0.001
"""Time for other workers to accept first, for each such share of connections that a worker has."""
BUSY_SECONDS = 0.02
"""Time for other workers to accept first, for each connection that a worker without a free thread would take. Eight
requests were sent at once to 2 x 4 free threads. Without it, one of them waited for a thread in 20 of 40 trials; with
it, in none of 120."""
TAKEN_AT_ONCE = 100
"""Maximum number of connections that an overloaded worker accepts before others may. 20 would cost a third of the
answers to clients that send one request per connection."""
FIRST_REQUEST_SECONDS = 5.0
"""Minimum time for a client to send its first request. Gunicorn uses the same limit."""
IN_USE_SECONDS = 0.3
"""A connection whose last request is more recent does not make room: its client may be sending the next one."""
LAST_LINGER_SECONDS = 0.5
"""At the end of the worker, the time for all clients together to close their connection after the last response."""
ORDER_SECONDS = 0.02
"""Under overload, the time until requests on kept connections are put in order, so that critical ones go first."""
SETTLE_SECONDS = 2.0
"""At a stop, the time to keep a connection after its last request, for the same reason. Gunicorn uses the same time."""


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


class KeepingWorker(DirectWorker):
    """A threaded worker that keeps idle connections while it has room for them.

    Under overload, it also accepts all connections, to refuse most of their requests and to serve critical ones first.
    """

    admission: Admission
    """Set before the worker serves."""
    _accepting: bool
    _gives_way_until = 0.0
    _has_given_way = False
    """Other workers could take the connection that waits. It is false again as soon as one has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keepalived_conns = IdleConnections()
        self.worker_connections = self._limit = connection_limit(self.cfg)
        self.max_keepalived = sys.maxsize  # otherwise Gunicorn closes a new connection rather than the longest idle one
        self._expected: dict[Any, float] = {}
        """New connections without a request, and until when each counts as one."""
        self._share = min(CONNECTIONS_PER_THREAD * self.cfg.threads, self._limit)

    def accept(self, listener: Any) -> None:
        """Accept a connection. If other workers may have more room for it, let them do so first."""
        self.collect()  # so that requests count whose thread has not begun
        now = time.monotonic()
        if self._is_busy(now):
            is_overloaded = self.admission.is_overloaded
            if not self._has_given_way:
                # Under overload, the worker with the fewest connections is the first. In no order, one worker took 500
                # of 540. Its share of a proxy's requests then kept it overloaded after the load had dropped.
                wait = GIVE_WAY_SECONDS * self.nr_conns / self._share if is_overloaded else BUSY_SECONDS
                self._has_given_way, self._gives_way_until = True, now + wait
                return
            # The others are busy too. Requests on kept connections would overtake those that wait in the kernel.
            limit = self.nr_conns + TAKEN_AT_ONCE if is_overloaded else self._share + len(self.keepalived_conns)
            limit = min(limit, self._limit)
        else:
            wait = GIVE_WAY_SECONDS * (self.nr_conns // self._share)
            if wait and now > self._gives_way_until + 10 * wait:
                self._gives_way_until = now + wait
                return
            limit = 0
        self.accept_up_to(max(limit, self.nr_conns + 1), listener)

    def accept_up_to(self, limit: int, listener: Any) -> None:
        """Accept connections that wait, until the worker has ``limit``."""
        while (before := self.nr_conns) < limit:
            super().accept(listener)
            if self.nr_conns == before:  # no client waits
                return

    def _is_busy(self, now: float) -> bool:
        """Tell whether every thread has a request. The request of a new connection may arrive a moment later."""
        expected = sum(now < until for until in list(self._expected.values()))
        return bool(self.nr_conns - len(self.keepalived_conns) + expected >= self.cfg.threads)

    def collect(self) -> None:
        """Queue all connections that have a request and no thread, so that they are in order, and count as busy."""
        for conn in self.requests.take_all():
            self.keepalived_conns.remove(conn)
            self.enqueue_req(conn)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for the serving threads. A new one without a request waits for it."""
        if not conn.data_ready:
            conn.data_ready = True
            if not _is_ready(conn):
                now = time.monotonic()
                self._expected[conn] = now + BUSY_SECONDS
                conn.timeout = now + max(FIRST_REQUEST_SECONDS, self.cfg.keepalive)
                if not self._wait_for_request(conn):
                    self._drop(conn)
                return
        threads: Any = self.tpool  # the stub has Gunicorn's own pool
        threads.submit(conn, first=self.admission.is_overloaded and refusal.goes_first(conn, self.admission))

    def handle(self, conn: Any) -> Any:
        """Serve the request that waits on a connection, or refuse it. Return whether to keep the connection."""
        if self.admission.is_queueing:
            keeps = refusal.refuse(conn, self.admission, closes=not self.alive or bool(DRAIN))
            if keeps is not None:
                return keeps
        return super().handle(conn)

    def _serve(self, conn: Any) -> None:
        self.keepalived_conns.remove(conn)  # first, so that it counts all the time
        self._expected.pop(conn, None)
        super()._serve(conn)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Wait for events, at most until this worker may accept again."""
        if not self._accepting:
            left = self._gives_way_until - time.monotonic()
            pause = left if left > 0 else IN_USE_SECONDS
            timeout = pause if timeout is None else min(timeout, pause)
        if self.admission.is_overloaded:
            timeout = ORDER_SECONDS if timeout is None else min(timeout, ORDER_SECONDS)
        gave_way = self._accepting and self._has_given_way
        super().wait_for_and_dispatch_events(0 if gave_way else timeout)
        if gave_way:  # this worker or another one has the connection now
            self._has_given_way = False

    def murder_keepalived(self, force: bool = False) -> None:
        """Close expired connections, and the longest idle one if there are too many. With ``force``, close all.

        The main loop calls it in each turn. It accepts connections while it has less than ``worker_connections``.
        """
        idle, now = self.keepalived_conns, time.monotonic()
        if self._is_busy(now):
            self.collect()
        for conn in list(idle):
            if not force and not self._is_due(conn, now):
                break
            if not self._take_back(conn):
                continue
            is_over = force or (self._is_due(conn, now) and not _is_ready(conn))  # it belongs to no thread now
            if is_over or not self._wait_for_request(conn):
                self._drop(conn)
        has_room = self.nr_conns < self._limit
        if not has_room and idle:
            has_room = self.nr_conns == self._limit and self._is_unused(idle[0], now)
        share = self._limit if self.admission.is_overloaded else self._share
        if self._has_given_way and not self._is_busy(now):  # a thread is free again
            self._has_given_way, self._gives_way_until = False, now
        self.worker_connections = share + len(idle) if has_room and now >= self._gives_way_until else 0
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

    def _drop(self, conn: Any) -> None:
        self._expected.pop(conn, None)
        self.nr_conns -= 1
        conn.close()


def connection_limit(config: Any) -> int:
    """Return the maximum number of connections of a worker under Gunicorn's ``config``."""
    if config.worker_connections != FITTING_CONNECTIONS:
        return int(config.worker_connections)
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fitting = CONNECTIONS if descriptors == resource.RLIM_INFINITY else min(CONNECTIONS, descriptors // 2)
    return max(CONNECTIONS_PER_THREAD * int(config.threads), fitting)


def _is_ready(conn: Any) -> bool:
    """Tell whether a connection has a request, or was ended by its client. Then it needs a thread."""
    try:
        # The method of the plain socket, because TLS sockets refuse flags.
        socket.socket.recv(conn.sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

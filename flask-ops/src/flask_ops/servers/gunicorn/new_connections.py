"""New connections, and which worker accepts them.

All workers listen on the same sockets. In Gunicorn, the first one takes all connections that wait, even if its threads
are busy and other workers have free ones. Here it lets them go first. If all are busy, each takes as many connections
as it serves requests. More would wait behind its slow requests. Fewer would wait in the kernel while requests on kept
connections overtake them.

A connection without a request gets no thread. In Gunicorn, it holds one for five seconds.
"""

from __future__ import annotations

import math
import resource
import socket
import time
from typing import TYPE_CHECKING, Any

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
"""The share of a worker. Beyond it, other workers accept first."""
GIVE_WAY_SECONDS = 0.001
"""Time for other workers to accept first, for each such share of connections that a worker has."""
BUSY_SECONDS = 0.02
"""Time for other workers to accept first if this one has no free thread. Eight requests were sent at once to 2 x 4 free
threads. Without it, one of them waited for a thread in 20 of 40 trials; with it, in none of 120."""
TAKEN_AT_ONCE = 100
"""Maximum number of connections that an overloaded worker accepts before others may. It accepts all, to refuse most of
their requests and to serve critical ones first. 20 would cost a third of the answers to clients that send one request
per connection."""
ORDER_SECONDS = 0.02
"""Under overload, the time until requests on kept connections are put in order, so that critical ones go first."""
FIRST_REQUEST_SECONDS = 5.0
"""Minimum time for a client to send its first request. Gunicorn uses the same limit."""


class AcceptingWorker(DirectWorker):
    """A threaded worker that accepts its part of the connections, and gives no thread to one without a request."""

    admission: Admission
    """Set before the worker serves."""
    nr: int
    """Number of requests that this worker has begun to serve."""
    _accepting: bool
    _waits_since = math.inf
    """The time since which clients have waited in the kernel, one or another. Infinite if none is known to wait."""
    _is_asked = False
    """The kernel has just reported a client."""
    _gives_way_until = 0.0
    _served_before = 0
    """The value of ``nr`` when this worker last accepted, or when it saw the first client that waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = self._limit = connection_limit(self.cfg)
        self._share = min(CONNECTIONS_PER_THREAD * self.cfg.threads, self._limit)
        self._expected: dict[Any, float] = {}
        """New connections without a request, and until when each counts as one."""

    def accept(self, listener: Any) -> None:
        """Accept connections that wait. If other workers may have more room for them, let them do so first."""
        self._is_asked = True
        self.collect()  # so that requests count whose thread has not begun
        now = time.monotonic()
        is_busy, is_overloaded = self._is_busy(now), self.admission.is_overloaded
        if self._waits_since == math.inf:
            self._waits_since, self._served_before = now, self.nr
            self._gives_way_until = now + self._head_start(is_busy=is_busy)
            if now < self._gives_way_until:
                return
        if is_busy and is_overloaded:
            number = TAKEN_AT_ONCE
        else:
            number = 0 if is_busy else 1
            if now - self._waits_since >= BUSY_SECONDS:  # the other workers have no free thread either
                number = max(number, self.nr - self._served_before)
        if number == 0:
            self._gives_way_until = now + BUSY_SECONDS
            return
        self.accept_up_to(max(min(self.nr_conns + number, self._limit), self.nr_conns + 1), listener)
        self._served_before = self.nr
        if is_overloaded:
            self._waits_since = math.inf  # other workers may take the next ones first

    def accept_up_to(self, limit: int, listener: Any) -> None:
        """Accept connections that wait, until the worker has ``limit``."""
        while (before := self.nr_conns) < limit:
            super().accept(listener)
            if self.nr_conns == before:  # no client waits
                self._waits_since = math.inf
                return

    def may_accept(self, now: float) -> bool:
        """Tell whether this worker has given way for long enough. Once a thread is free, the wait is shorter."""
        if self._waits_since < math.inf and not self._is_busy(now):
            self._gives_way_until = min(self._gives_way_until, self._waits_since + self._head_start(is_busy=False))
        return now >= self._gives_way_until

    def _head_start(self, *, is_busy: bool) -> float:
        """Return how long other workers may accept first, in seconds."""
        if is_busy and not self.admission.is_overloaded:
            return BUSY_SECONDS
        # Under overload, the worker with the fewest connections is the first. In no order, one worker took 500 of 540.
        # Its share of a proxy's requests then kept it overloaded after the load had dropped.
        shares = self.nr_conns / self._share
        return GIVE_WAY_SECONDS * (shares if is_busy else int(shares))

    def _is_busy(self, now: float) -> bool:
        """Tell whether every thread has a request. The request of a new connection may arrive a moment later."""
        expected = sum(now < until for until in list(self._expected.values()))
        return bool(self.nr_conns - len(self.keepalived_conns) + expected >= self.cfg.threads)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Wait for events, at most until this worker may accept again, or until requests are put in order."""
        limits = [] if timeout is None else [timeout]
        left = self._gives_way_until - time.monotonic()
        if not self._accepting and left > 0:
            limits.append(left)
        if self.admission.is_overloaded:
            limits.append(ORDER_SECONDS)
        looks = self._accepting and self._waits_since < math.inf
        self._is_asked = False
        super().wait_for_and_dispatch_events(0 if looks else min(limits, default=None))
        if looks and not self._is_asked:  # another worker has the connection
            self._waits_since = math.inf

    def collect(self) -> None:
        """Queue all connections that have a request and no thread, so that they are in order, and count as busy."""
        for conn in self.requests.take_all():
            self.keepalived_conns.remove(conn)
            self.enqueue_req(conn)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for the serving threads. A new one without a request waits for it."""
        if not conn.data_ready:
            conn.data_ready = True
            if not is_ready(conn):
                now = time.monotonic()
                self._expected[conn] = now + BUSY_SECONDS
                conn.timeout = now + max(FIRST_REQUEST_SECONDS, self.cfg.keepalive)
                if not self._wait_for_request(conn):
                    self._drop(conn)
                return
        threads: Any = self.tpool  # the stub has Gunicorn's own pool
        threads.submit(conn, first=self.admission.is_overloaded and refusal.goes_first(conn, self.admission))

    def _serve(self, conn: Any) -> None:
        self.keepalived_conns.remove(conn)  # first, so that it counts all the time
        self._expected.pop(conn, None)
        super()._serve(conn)

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


def is_ready(conn: Any) -> bool:
    """Tell whether a connection has a request, or was ended by its client. Then it needs a thread."""
    try:
        # The method of the plain socket, because TLS sockets refuse flags.
        socket.socket.recv(conn.sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

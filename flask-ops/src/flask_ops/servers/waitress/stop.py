"""The graceful stop that Waitress lacks.

On SIGTERM Waitress dies with the requests in flight, and Ctrl-C ends its loop, after which no
response is sent any more. Here SIGTERM lets the service say that it is not ready and go on serving
for a while; then, or at once with Ctrl-C or a second signal, the listeners close and everything is
finished; one more signal ends everything.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from waitress import server

from flask_ops.core.address import Address
from flask_ops.core.closing import admit_no_more
from flask_ops.core.draining import DRAIN

SETTLE_SECONDS = 0.3
"""How long a silent connection is kept that was active a moment ago: its client may be sending.
Without it, keep-alive clients with 50 ms between requests lost 109 of them in 12 stops; with it, none."""

SILENT_SECONDS = 10.0
"""The loop turns at least once a second."""

_log = structlog.stdlib.get_logger(__name__)


class GracefulRun:
    """Takes the place of the ``run`` method of one of Waitress's servers.

    ``cut_off`` is called when what is still in flight will not end any more.
    """

    def __init__(
        self, created: Any, *, drain_seconds: float, graceful_seconds: float, cut_off: Callable[[], object]
    ) -> None:
        self._drain_seconds, self._graceful_seconds, self._cut_off = drain_seconds, graceful_seconds, cut_off
        self._adjustments, self._asyncore = created.adj, created.asyncore
        self._dispatcher = created.task_dispatcher
        self._map = created.map if isinstance(created, server.MultiSocketServer) else created._map
        self.listeners = [item for item in self._map.values() if isinstance(item, server.BaseWSGIServer)]
        self._signals: list[int] = []
        self._turned = time.monotonic()

    def fault(self) -> str | None:
        """Return why nothing is answered any more, None if the loop turns."""
        silent = time.monotonic() - self._turned
        return f"the server's loop has not turned for {silent:.0f} seconds" if silent > SILENT_SECONDS else None

    def __call__(self) -> None:
        """Serve until a signal comes, then stop."""
        # Only the main thread can handle signals; in another one this never ends, as in Waitress.
        on_main_thread = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGINT) if on_main_thread else ()
        previous = {number: signal.signal(number, self._on_signal) for number in numbers}
        for listener in self.listeners:
            _log.info("listening", address=_address(listener), server="waitress")
        try:
            while not self._signals:
                self._poll(self._adjustments.asyncore_loop_timeout)
            if self._signals == [signal.SIGTERM]:
                self._drain()
            self._finish()
        finally:
            unfinished = self._in_flight()
            self._cut_off()  # before it looks as if the clients had gone
            for connection in self._connections():
                connection.handle_close()  # wakes a thread that waits for a slow client
            self._dispatcher.shutdown(timeout=0.5)
            _log.info("stopped", requests_unfinished=unfinished)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._asyncore.close_all(self._map)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(number)
        # select() goes on after a signal (PEP 475); a byte in the pipe that it watches ends it.
        self.listeners[0].pull_trigger()

    def _poll(self, timeout: float, *, use_poll: bool = False) -> None:
        self._turned = time.monotonic()
        use_poll = use_poll or self._adjustments.asyncore_use_poll
        self._asyncore.loop(timeout=timeout, use_poll=use_poll, map=self._map, count=1)

    def _drain(self) -> None:
        left = self._drain_seconds - DRAIN.seconds  # an operator may have begun it
        DRAIN.begin(final=True)
        if left <= 0:
            return
        _log.info("draining", seconds=round(left, 3), requests_in_flight=self._in_flight())
        end = time.monotonic() + left
        while len(self._signals) < 2 and (left := end - time.monotonic()) > 0:
            self._poll(min(left, self._adjustments.asyncore_loop_timeout))

    def _finish(self) -> None:
        DRAIN.begin(final=True)
        signals = len(self._signals)
        for listener in self.listeners:
            admit_no_more(listener.socket)
            # Closing a listener resets what waits in its queue: accept that first, above the limit
            # of connections even. (poll() from here on, for select() fails from descriptor 1024.)
            for _ in range(self._adjustments.backlog + 1):
                before = len(self._map)
                listener.handle_accept()
                if len(self._map) == before:
                    break
            # Not listener.close(), which also closes the pipe by which threads wake the loop.
            self._asyncore.dispatcher.close(listener)
        _log.info("stopping", requests_in_flight=self._in_flight())
        end = time.monotonic() + self._graceful_seconds
        while len(self._signals) == signals and time.monotonic() < end:
            waiting = self._in_flight() or self._settling()
            self._poll(0.1 if waiting else 0, use_poll=True)
            if not waiting and not self._in_flight():
                break

    def _connections(self) -> list[Any]:
        return [connection for listener in self.listeners for connection in list(listener.active_channels.values())]

    def _settling(self) -> bool:
        recently = time.time() - SETTLE_SECONDS  # Waitress's own clock
        return any(connection.last_activity > recently for connection in self._connections())

    def _in_flight(self) -> int:
        """Count the requests that are being received, wait for a thread, are executed or sent."""
        with self._dispatcher.lock:  # it also knows those whose client has gone
            tasks = len(self._dispatcher.queue) + int(self._dispatcher.active_count)
        busy = sum(
            1
            for connection in self._connections()
            if connection.request
            or connection.requests
            or connection.total_outbufs_len
            or connection.close_when_flushed
        )
        return max(tasks, busy)


def _address(listener: Any) -> str:
    if listener.adj.unix_socket:
        return str(Address(unix=listener.adj.unix_socket))
    return str(Address(listener.effective_host, int(listener.effective_port)))

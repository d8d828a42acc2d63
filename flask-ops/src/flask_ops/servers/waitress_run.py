"""The loop of Waitress, and its graceful stop.

Without this module, SIGTERM would kill Waitress with the requests in flight, and Ctrl-C would end its loop, which then
sends no response. Here SIGTERM starts a drain: the service reports that it is not ready, and serves on for a while.
Then it closes the listeners and finishes all requests. Ctrl-C or a later SIGTERM skips the drain. One more signal ends
all.
"""

from __future__ import annotations

import math
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from waitress import server

from flask_ops.core.address import Address
from flask_ops.core.draining import DRAIN, REPEAT_SECONDS, admit_no_more
from flask_ops.core.settings import Settings

SETTLE_SECONDS = 0.3
"""Time to keep a connection after its last activity, because its client may be sending. Without it, keep-alive clients
with 50 ms between requests lost 109 requests in 12 stops. With it, they lost none."""

STALLED_SECONDS = 30.0
"""A request or response whose client has been silent for this long may make room for a new client."""

SILENT_SECONDS = 10.0
"""If the loop does not turn for this long, the service counts as dead. It turns at least once a second."""

_log = structlog.stdlib.get_logger(__name__)


class GracefulRun:
    """Replaces the ``run`` method of one of Waitress's servers.

    Calls ``cut_off`` when the requests still in flight can no longer finish.
    """

    def __init__(self, created: Any, settings: Settings, cut_off: Callable[[], object]) -> None:
        self._settings, self._cut_off = settings, cut_off
        self._adjustments, self._asyncore = created.adj, created.asyncore
        self._dispatcher = created.task_dispatcher
        self._map = created.map if isinstance(created, server.MultiSocketServer) else created._map
        self.listeners = [item for item in self._map.values() if isinstance(item, server.BaseWSGIServer)]
        self._signals: list[int] = []
        self._first_term = -math.inf
        self._turned = time.monotonic()

    def fault(self) -> str | None:
        """Return the reason if the server cannot answer, None if its loop turns."""
        silent = time.monotonic() - self._turned
        return f"the server's loop has not turned for {silent:.0f} seconds" if silent > SILENT_SECONDS else None

    def __call__(self) -> None:
        """Serve until a signal comes, then stop."""
        # Only the main thread can handle signals. In another thread, this never ends, as in Waitress.
        on_main_thread = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGINT) if on_main_thread else ()
        previous = {number: signal.signal(number, self._on_signal) for number in numbers}
        for listener in self.listeners:
            path = listener.adj.unix_socket
            address = Address(unix=path) if path else Address(listener.effective_host, int(listener.effective_port))
            _log.info("listening", address=str(address), server="waitress")
        try:
            while not self._signals:
                self._poll(self._adjustments.asyncore_loop_timeout)
            if self._signals == [signal.SIGTERM]:
                self._drain()
            self._finish()
        finally:
            unfinished = self._in_flight()
            self._cut_off()  # before the connections close: otherwise the clients seem to have gone
            for connection in self._connections():
                connection.handle_close()  # wakes threads that wait for slow clients
            self._dispatcher.shutdown(timeout=0.5)
            _log.info("stopped", requests_unfinished=unfinished)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._asyncore.close_all(self._map)

    def _on_signal(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM and now - self._first_term < REPEAT_SECONDS:
            return
        if not self._signals:
            self._first_term = now
        self._signals.append(number)
        # select() continues after a signal (PEP 475). A byte in its pipe ends it.
        self.listeners[0].pull_trigger()

    def _poll(self, timeout: float, *, use_poll: bool = False) -> None:
        self._turned = time.monotonic()
        if len(self._map) >= self._adjustments.connection_limit:
            self._make_room()
            timeout = min(timeout, SETTLE_SECONDS)
        use_poll = use_poll or self._adjustments.asyncore_use_poll
        self._asyncore.loop(timeout=timeout, use_poll=use_poll, map=self._map, count=1)

    def _make_room(self) -> None:
        """Close the connection that was silent longest. At its limit, Waitress accepts no other client."""

        def may_close(connection: Any) -> bool:
            is_idle = connection.request is None and not connection.total_outbufs_len
            silent = time.time() - connection.last_activity  # Waitress's own clock
            return not connection.requests and silent > (SETTLE_SECONDS if is_idle else STALLED_SECONDS)

        for connection in sorted(filter(may_close, self._connections()), key=lambda each: each.last_activity):
            with suppress(OSError):
                if connection.socket.recv(1, socket.MSG_PEEK):  # its next request is here
                    continue
            connection.handle_close()
            return

    def _drain(self) -> None:
        end = time.monotonic() + DRAIN.begin_stop(self._settings.drain_seconds, self._in_flight)
        while len(self._signals) < 2 and (left := end - time.monotonic()) > 0:
            self._poll(min(left, self._adjustments.asyncore_loop_timeout))

    def _finish(self) -> None:
        DRAIN.begin(final=True)
        signals = len(self._signals)
        for listener in self.listeners:
            admit_no_more(listener.socket)
            # To close a listener resets the connections in its backlog: accept them first, even above the connection
            # limit. From here on use poll(), because select() fails from descriptor 1024.
            for _ in range(self._adjustments.backlog + 1):
                before = len(self._map)
                listener.handle_accept()
                if len(self._map) == before:
                    break
            # listener.close() would also close the pipe by which threads wake the loop.
            self._asyncore.dispatcher.close(listener)
        _log.info("stopping", requests_in_flight=self._in_flight())
        end = time.monotonic() + self._settings.graceful_seconds
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
        """Count the requests in flight: received, waiting for a thread, running, or being sent."""
        with self._dispatcher.lock:  # the dispatcher also counts requests of disconnected clients
            tasks = len(self._dispatcher.queue) + int(self._dispatcher.active_count)
        busy = sum(
            bool(each.request or each.requests or each.total_outbufs_len or each.close_when_flushed)
            for each in self._connections()
        )
        return max(tasks, busy)

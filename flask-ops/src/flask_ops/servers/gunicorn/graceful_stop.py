"""The graceful stop of Gunicorn: drain, close the listeners, finish. No phase loses a request.

Without this module, Gunicorn closes its listener at once on SIGTERM. Load balancers still send requests then, and
connections in the backlog are reset. Here the service first reports that it is not ready, and continues to serve.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Collection
from typing import Any

import structlog
from gunicorn.arbiter import Arbiter

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN, REPEAT_SECONDS, admit_no_more
from flask_ops.metrics import sums

LAST_WORDS_SECONDS = 0.5
"""Time for late workers to report the requests that are cut off."""

_log = structlog.stdlib.get_logger(__name__)


class GracefulStop:
    """Drains for ``drain_seconds`` before Gunicorn's arbiter ``server`` stops, and logs each phase.

    If another master (SIGUSR2) serves the same address, SIGTERM does not drain. It calls ``step_back``, which leaves
    the management address to the other master, and stops.
    """

    def __init__(self, server: Any, drain_seconds: float, step_back: Callable[[], None]) -> None:
        self._server, self._drain_seconds, self._step_back = server, drain_seconds, step_back
        self._asked_at = -math.inf
        self._stop_at = math.inf
        self._answered_before = 0.0
        self._unfinished = 0
        self._is_stopping = False

    def terminate(self) -> None:
        """Drain on SIGTERM. A later SIGTERM ends the drain."""
        if self._server.reexec_pid or self._server.master_pid:
            self._step_back()
            raise StopIteration
        if DRAIN.is_final:
            if time.monotonic() - self._asked_at < REPEAT_SECONDS:
                return
            raise StopIteration
        self._asked_at = time.monotonic()
        left = DRAIN.begin_stop(self._drain_seconds, self._in_flight)
        if not left:
            raise StopIteration
        self._stop_at = time.monotonic() + left
        self._answered_before = _answered()

    def interrupt(self) -> None:
        """Stop at once on SIGINT. During a drain, end only the drain."""
        if DRAIN.is_final:
            raise StopIteration
        Arbiter.handle_int(self._server)

    def wait_for_signals(self, timeout: float | None) -> Any:
        """Wait for signals, at most until the drain ends."""
        left = self._stop_at - time.monotonic()
        if left <= 0:
            raise StopIteration
        return Arbiter.wait_for_signals(self._server, left if timeout is None else min(timeout, left))

    def stop(self, graceful: bool) -> None:
        """Close the listeners and end the workers."""
        if self._is_stopping:  # after SIGINT Gunicorn calls it twice
            Arbiter.stop(self._server, graceful)
            return
        self._is_stopping = True
        is_last = not (self._server.reexec_pid or self._server.master_pid)
        if is_last:
            DRAIN.begin(final=True)
        drained = {"requests_answered": int(_answered() - self._answered_before)} if self._stop_at < math.inf else {}
        _log.info("stopping", graceful=graceful, requests_in_flight=self._in_flight(), **drained)
        began = time.monotonic()
        if is_last and self._owns_sockets():
            for listener in self._server.LISTENERS:
                admit_no_more(listener)
        Arbiter.stop(self._server, graceful)
        _log.info("stopped", seconds=round(time.monotonic() - began, 3), requests_unfinished=self._unfinished)

    def _owns_sockets(self) -> bool:
        """Return False if systemd or another supervisor (fd://) owns the sockets, and uses them after this stop."""
        return not self._server.systemd and not any(isinstance(each, int) for each in self._server.cfg.address)

    def kill_workers(self, number: int) -> None:
        """Send a signal to all workers. Before SIGKILL, give them time to report the requests that are cut off."""
        if number in {signal.SIGKILL, signal.SIGQUIT} and self._is_stopping:
            self._unfinished = max(self._unfinished, self._in_flight())
        if number == signal.SIGKILL and self._is_stopping and self._server.WORKERS:
            Arbiter.kill_workers(self._server, signal.SIGABRT)
            end = time.monotonic() + LAST_WORDS_SECONDS
            while self._server.WORKERS and time.monotonic() < end:
                self._server.reap_workers()
                time.sleep(0.02)
        Arbiter.kill_workers(self._server, number)

    def _in_flight(self) -> int:
        """Return the number of requests in flight. Workers publish it twice a second."""
        owners = {worker.slot for worker in self._server.WORKERS.values()}
        return int(_total("service_requests_in_flight", owners))


def _answered() -> float:
    return _total("flask_http_request_total")


def _total(name: str, owners: Collection[str] | None = None) -> float:
    with contextlib.suppress(OSError):  # no descriptor left, for example; the stop matters more than the count
        return sums.total(multiprocess.directory(), name, owners)
    return 0

"""No signal is lost on a worker that is just being forked, or waits until it has loaded the application.

Until a worker of Gunicorn's has signal handlers of its own it has those of its master, which only note
what has come: a SIGTERM in this moment ended no worker, and a stop then took all of
``SERVICE_GRACEFUL_SECONDS``. Here signals wait during the fork; then they end the worker, which serves nothing yet.
The worker's own handler of SIGTERM ends it after it has loaded the application, however long that takes. Here it does
so only if clients wait, because no other worker may answer them.
"""

from __future__ import annotations

import os
import selectors
import signal
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class EarlySignals:
    """Holds the signals of this process back while it forks a worker. One in a process: it registers fork hooks."""

    def __init__(self) -> None:
        self._is_worker = False
        os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._release_in_worker)

    def expect_worker(self) -> None:
        """Note that the next fork makes a worker."""
        self._is_worker = True

    def _hold(self) -> None:
        if self._is_worker:
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def _release(self) -> None:
        if self._is_worker:
            self._is_worker = False
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _release_in_worker(self) -> None:
        if self._is_worker:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        self._release()


def clients_wait(listeners: list[Any]) -> bool:
    """Tell whether a client waits in the queue of one of these sockets."""
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ)
        return bool(selector.select(0))

"""The signals that a worker gets: ``STOP`` from its master, and any signal that comes before it serves.

A supervisor may send SIGTERM to the whole process group, as Heroku does. If the master told its workers to stop by
SIGTERM too, such a worker would stop before the drain, and clients would be refused. So the master sends ``STOP``, its
own signal.

A Gunicorn worker starts with the signal handlers of its master, which only record signals. Without this module, the
worker would lose the signal then, and the shutdown would wait for it for all of ``SERVICE_GRACEFUL_SECONDS``. Here
signals wait during the fork, then they end the worker, which serves nothing yet.
"""

from __future__ import annotations

import os
import selectors
import signal
from typing import Any

STOP = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else signal.SIGTERM
"""The signal by which the master tells a worker to stop. Without real-time signals (macOS), SIGTERM."""
_SIGNALS = (STOP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class EarlySignals:
    """Blocks signals while this process forks a worker. Create one per process: it registers fork hooks."""

    def __init__(self) -> None:
        self._forks_worker = False
        os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._release_in_worker)

    def expect_worker(self) -> None:
        """Note that the next fork creates a worker."""
        self._forks_worker = True

    def _hold(self) -> None:
        if self._forks_worker:
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def _release(self) -> None:
        if self._forks_worker:
            self._forks_worker = False
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _release_in_worker(self) -> None:
        if self._forks_worker:
            for number in _SIGNALS:
                # The master gets a SIGTERM to the process group too, and sends STOP.
                ignored = number == signal.SIGTERM != STOP
                signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        self._release()


def clients_wait(listeners: list[Any]) -> bool:
    """Tell whether a client waits in the backlog of one of these sockets."""
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ)
        return bool(selector.select(0))

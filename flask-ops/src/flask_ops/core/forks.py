"""The rules of forks: a gate that delays them until the background threads wait for I/O, and hooks for the child.

A forked child has one thread. Locks that other threads held at the fork (of an import, of standard error, of a metric)
stay locked in the child for ever. A thread inside the gate lets forks happen only while it waits for I/O and holds no
lock. If a thread and a fork both wait for their turn, the fork goes first. Without its hooks, a child would write its
parent's log lines and count in its parent's files. This is all code that runs at a fork:

- In every child: ``log.sink``, ``log.levels``, ``log.printed_lines`` and ``metrics.store``, by ``in_child``. In a child
  of a process with a management listener: ``Listener._close``, by ``ForkGate.member``.
- Before the fork and in the parent as well: ``ForkGate``, ``metrics.store_files`` and
  ``servers.gunicorn.worker_signals``.
- In a worker of Gunicorn: ``Master.after_fork``. In a trial of new code: ``ReloadTrial``. In a worker of uWSGI, which
  forks in C and runs no fork hooks of Python: ``servers.uwsgi.in_each_worker``. Under other servers:
  ``Store.settle``, at the first request.
- Threads do not survive a fork. ``Runtime.start`` starts them in each process that serves.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as _executors  # noqa: F401 - its fork hook must run inside of ours
from threading import get_ident

import structlog  # with logging, whose fork hook must run inside of ours, too

FORK_SECONDS = 5.0
"""How long a fork waits for the threads at most. A thread may wait for a lock of the forking thread. An unprotected
fork is then better than a deadlock."""

_log = structlog.stdlib.get_logger(__name__)


class ForkGate:
    """Makes forks and background threads of this process take turns."""

    def __init__(self) -> None:
        self._registered = False
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._members: dict[int, Callable[[], None]] = {}  # by thread
        self._working: set[int] = set()
        self._forking: list[int] = []  # a thread may fork in a signal handler while it forks
        self._hasty = 0

    @contextlib.contextmanager
    def member(self, in_child: Callable[[], None]) -> Iterator[None]:
        """Delay forks during the block, except while the thread is ``waiting``.

        Every child that is forked meanwhile calls ``in_child``.
        """
        with self._changed:
            # Hooks run last in, first out. Registered this late, ours runs before the hooks that take locks which the
            # thread may need.
            if not self._registered and hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child
                )
            self._registered = True
        self._work()
        self._members[get_ident()] = in_child
        try:
            yield
        finally:
            del self._members[get_ident()]
            self._rest()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Allow forks during the block. The thread must hold no lock in it."""
        self._rest()
        try:
            yield
        finally:
            self._work()

    def _work(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._working.add(get_ident())
            hasty, self._hasty = self._hasty, 0
        if hasty:  # not by the forking thread, which may hold the lock of the log
            _log.warning("forked while a background thread was working", forks=hasty, waited_seconds=FORK_SECONDS)

    def _rest(self) -> None:
        with self._changed:
            self._working.discard(get_ident())
            self._changed.notify_all()

    def _before_fork(self) -> None:
        with self._changed:
            self._forking.append(get_ident())
            if not self._changed.wait_for(lambda: self._working.issubset(self._forking), FORK_SECONDS):
                self._hasty += 1

    def _after_fork(self) -> None:
        with self._changed:
            with contextlib.suppress(ValueError):  # a signal handler raised before the append
                self._forking.remove(get_ident())
            self._changed.notify_all()

    def _in_child(self) -> None:
        members = list(self._members.values())
        self._reset()  # with a new lock: a thread that the fork did not copy may hold the old one
        for in_child in members:
            in_child()


FORK_GATE = ForkGate()
"""The only gate, because a fork copies the whole process."""


def in_child(hook: Callable[[], None]) -> None:
    """Call ``hook`` in each child that Python forks from now on."""
    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=hook)

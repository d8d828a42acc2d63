"""Forks that wait until a background thread waits, too.

A forked child has one thread, and every lock that another thread held at that moment (of a module
that it imported, of standard error, of a metric) stays locked in the child for ever. A thread that
passes through this gate is forked only while it waits for I/O, holding nothing. Where two threads
want each other's turn, the fork goes first.

Only forks by Python run these hooks: uWSGI, which forks in C, runs the one for the child alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as _executors  # noqa: F401  its own fork hook must run inside of ours
from threading import get_ident

import structlog  # with logging, whose fork hook must run inside of ours, too

FORK_SECONDS = 5.0
"""How long a fork waits for the threads at most. A thread may itself wait for what the forking one holds;
then to fork as if there were no gate is the smaller evil."""

_log = structlog.stdlib.get_logger(__name__)


class ForkGate:
    """What lets the forks of this process and its background threads take turns."""

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
        """Keep forks from happening in the block, but for where the thread is ``waiting``.

        ``in_child`` is called in every child that is forked meanwhile.
        """
        with self._changed:
            # Hooks run last in, first out: registered as late as this, ours runs before those whose locks
            # the thread may want.
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
        """Let forks happen during the block, in which the thread must hold no lock of any kind."""
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
        if hasty:  # said here because the forking thread may hold the lock of the log
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
            with contextlib.suppress(ValueError):  # a signal handler raised before it was added
                self._forking.remove(get_ident())
            self._changed.notify_all()

    def _in_child(self) -> None:
        members = list(self._members.values())
        self._reset()  # with a new lock, for a thread that is no more may hold the old one
        for in_child in members:
            in_child()


FORK_GATE = ForkGate()
"""The one gate of the process, because a fork copies the process as a whole."""

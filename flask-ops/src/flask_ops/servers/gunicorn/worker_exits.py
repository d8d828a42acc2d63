"""The reasons for worker exits, and the pauses after failed starts. Each exit is logged in one line and counted.

Without this module, one worker that cannot start would end the whole server. The master would fork failing workers
without a pause.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from prometheus_client import Counter

from flask_ops.servers.gunicorn.worker_signals import STOP

REASONS = ("recycled", "reload", "scaled", "shutdown", "stuck", "timeout", "boot", "crash", "signal")
"""Reasons for a worker exit, in this order: ``max_requests``; SIGHUP; SIGTTOU; the server stops; requests hold every
thread for too long; no heartbeat within ``timeout``; the application cannot be loaded; a fault of the worker (an exit
code, or a signal such as SIGSEGV); a signal from outside."""
RETRY_SECONDS = 30.0
"""Maximum pause before the next attempt to start a worker. Each failure in a row makes the pauses longer."""

_PLANNED = {"recycled", "reload", "scaled", "shutdown"}
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
_log = structlog.stdlib.get_logger(__name__)


class StartFailures:
    """Counts failed attempts in a row. True if the last attempt failed."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._retry_at = 0.0

    def __bool__(self) -> bool:
        return self._in_a_row > 0

    @property
    def is_pause(self) -> bool:
        """True until the next attempt is due."""
        return time.monotonic() < self._retry_at

    def note(self, workers_left: int, **why: Any) -> None:
        """Log that a worker failed to start, with the fields ``why``."""
        if not self.is_pause:  # workers that start together are one attempt
            self._in_a_row += 1
            self._retry_at = time.monotonic() + min(2.0**self._in_a_row, RETRY_SECONDS)
        pause = round(self._retry_at - time.monotonic(), 1)
        _log.error("worker failed to start", retry_seconds=pause, workers_left=workers_left, **why)

    def forget(self) -> None:
        """Reset the pauses, because all workers have started."""
        self._in_a_row = 0


class WorkerExits:
    """Reaps the workers of Gunicorn's arbiter ``server``. Adds workers that never served to ``failures``.

    Gunicorn stops the whole server if one worker cannot start. That is right at the first start. It is wrong while
    other workers serve, for example after the code on disk was replaced.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.failures = StartFailures()
        self._asked: dict[int, str] = {}
        # Only the main thread, which also forks, writes these metrics. If another thread held their lock during the
        # fork, the lock would stay locked in the worker for ever.
        self._exits = Counter("service_worker_exits", "Workers that have ended.", ["reason"], registry=None)
        for reason in REASONS:
            self._exits.labels(reason)

    def expect(self, pids: Iterable[int], reason: str) -> None:
        """Note that these workers will end, with the reason."""
        self._asked.update(dict.fromkeys(pids, reason))

    def is_expected(self, pid: int) -> bool:
        """Tell whether this worker already has to end."""
        return pid in self._asked

    def reap_workers(self, ended: Callable[[Any], None]) -> None:
        """Reap ended children. Call ``ended`` with each worker, then log and count its exit.

        Raises HaltServer like Gunicorn if a worker ended before it served, and no other worker serves.
        """
        server, halt = self._server, False
        for pid, status in iter(_reap, None):
            worker = server.WORKERS.pop(pid, None)
            if pid == server.reexec_pid:
                server.reexec_pid = 0
            elif pid == server.dirty_arbiter_pid:
                server.handle_dirty_arbiter_exit(pid, status)
            elif worker is not None:  # otherwise a trial, or an orphan that process 1 inherits
                is_booting = not has_booted(worker)
                worker.tmp.close()
                server.cfg.child_exit(server, worker)
                ended(worker)
                halt |= self._count(worker, os.waitstatus_to_exitcode(status), is_booting=is_booting) == "boot"
        if halt and server.LISTENERS and not any(map(has_booted, server.WORKERS.values())):
            raise HaltServer("Worker failed to boot.", Arbiter.WORKER_BOOT_ERROR)

    def _count(self, worker: Any, code: int, *, is_booting: bool) -> str:
        reason = self._reason(worker, code, is_booting=is_booting)
        self._exits.labels(reason).inc()
        tell = _log.info if reason in _PLANNED else _log.error
        how = {"signal": _name(-code)} if code < 0 else {"exit_code": code}
        tell("worker ended", worker_pid=worker.pid, reason=reason, **how)
        if reason not in _PLANNED and is_booting:
            self.failures.note(len(self._server.WORKERS))
        return reason

    def _reason(self, worker: Any, code: int, *, is_booting: bool) -> str:
        """Return the reason for an exit with ``code``, a negative signal number if a signal ended the worker."""
        asked = self._asked.pop(worker.pid, None)
        if asked == "stuck":
            return asked
        if worker.aborted:
            return "timeout"
        # Gunicorn repeats its signal to stop, which can kill a worker that has nearly ended. This is not the reason.
        if code < 0 and -code not in {signal.SIGTERM, STOP}:
            return "crash" if -code in _FAULTS else "signal"
        if code > 0:
            return "boot" if is_booting else "crash"
        if not self._server.LISTENERS:  # a stop closes the listeners first
            return "shutdown"
        if asked:
            return asked
        if code == 0 and is_booting:
            return "boot"
        return "recycled" if code == 0 and worker.max_requests < sys.maxsize else "signal"


def last_heartbeat(worker: Any) -> float:
    """Return the time of the last heartbeat of a worker (monotonic seconds), or of its fork."""
    try:
        return float(worker.tmp.last_update())
    except (OSError, ValueError):  # closed: the worker has just ended
        return -math.inf


def has_booted(worker: Any) -> bool:
    """Tell whether a worker has sent a heartbeat since its fork."""
    return last_heartbeat(worker) > float(worker.forked)


def _reap() -> tuple[int, int] | None:
    """Return the pid and the status of an ended child, None if there is none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _name(number: int) -> str:
    if number == STOP:
        return "STOP"
    try:
        return signal.Signals(number).name
    except ValueError:  # another real-time signal
        return str(number)

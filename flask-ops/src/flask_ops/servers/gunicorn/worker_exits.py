"""Why workers end: found out, logged in one line, counted. And a worker that cannot start takes no other one down."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from prometheus_client import Counter

from flask_ops.servers.gunicorn.start_failures import StartFailures

REASONS = ("recycled", "reload", "scaled", "shutdown", "stuck", "timeout", "boot", "crash", "signal")
"""Why a worker ends: ``max_requests``, SIGHUP, SIGTTOU, the end of the server, requests that hold every
thread for too long, silence for longer than ``timeout``, an application that cannot be loaded, a fault of
its own (an exit code or a signal such as SIGSEGV), a signal from outside."""

_PLANNED = {"recycled", "reload", "scaled", "shutdown"}
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
_log = structlog.stdlib.get_logger(__name__)


class WorkerExits:
    """Watches the workers of Gunicorn's arbiter ``server`` end. Those that never served are noted in ``failures``."""

    def __init__(self, server: Any, failures: StartFailures) -> None:
        self._server, self._failures = server, failures
        self._endings: dict[int, Any] = {}
        self._asked: dict[int, str] = {}
        self._living: dict[int, Any] = {}
        self._booting: set[int] = set()
        # Only the main thread writes metrics here, and it is the one that forks: a lock that
        # another thread held at that moment would be locked in the worker for ever.
        self._exits = Counter("service_worker_exits", "Workers that have ended.", ["reason"], registry=None)
        for reason in REASONS:
            self._exits.labels(reason)
        logging.getLogger("gunicorn.error").addFilter(_is_not_said_below)

    def expect(self, pids: Iterable[int], reason: str) -> None:
        """Note that these workers are about to be ended, and why."""
        self._asked.update(dict.fromkeys(pids, reason))

    def is_expected(self, pid: int) -> bool:
        """Tell whether this worker is being ended already."""
        return pid in self._asked

    def reap_workers(self, ended: Callable[[Any], None]) -> None:
        """Reap the workers that have ended, call ``ended`` with each, then log and count it.

        Raises HaltServer, as Gunicorn does, if a worker has ended before it served and no other one serves.
        """
        halt: HaltServer | None = None
        while True:
            self._look()
            try:
                Arbiter.reap_workers(self._server)
                again = False
            except HaltServer as error:
                # Gunicorn ends the whole server for one worker that could not start: right at the first start,
                # wrong while others serve, whose code on disk was just replaced.
                halt, again = error, True
            for pid, worker in self._living.items():
                if pid not in self._server.WORKERS:
                    ended(worker)
                    if again and _has_failed_to_boot(self._endings.get(pid)):
                        worker.tmp.close()  # else Gunicorn has done it
                        self.expect([pid], "boot")
                    if self._count(worker) == "boot":
                        halt = halt or HaltServer("Worker failed to boot.", Arbiter.WORKER_BOOT_ERROR)
            if not again:
                break
        if halt is not None and self._server.LISTENERS and not any(map(has_booted, self._server.WORKERS.values())):
            raise halt

    def _count(self, worker: Any) -> str:
        ending = self._endings.pop(worker.pid, None)
        reason = self._reason(worker, self._asked.pop(worker.pid, None), ending)
        self._exits.labels(reason).inc()
        tell = _log.info if reason in _PLANNED else _log.error
        tell("worker ended", worker_pid=worker.pid, reason=reason, **_describe(ending))
        if reason not in _PLANNED and worker.pid in self._booting:
            self._failures.note(len(self._server.WORKERS))
        return reason

    def _look(self) -> None:
        self._living = dict(self._server.WORKERS)
        self._booting = {pid for pid, worker in self._living.items() if not has_booted(worker)}
        for pid in self._living:
            try:
                ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # only looks
            except ChildProcessError:
                continue
            if ending is not None:
                self._endings[pid] = ending

    def _reason(self, worker: Any, asked: str | None, ending: Any) -> str:
        if asked in {"stuck", "boot"}:
            return asked
        if worker.aborted:
            return "timeout"
        by_signal = ending is not None and ending.si_code in {os.CLD_KILLED, os.CLD_DUMPED}
        # Gunicorn repeats its SIGTERM, and a worker that is nearly gone dies of it: that is no end of its own.
        if by_signal and ending.si_status != signal.SIGTERM:
            return "crash" if ending.si_status in _FAULTS else "signal"
        is_booting = worker.pid in self._booting
        if ending is not None and not by_signal and ending.si_status != 0:
            return "boot" if is_booting else "crash"
        if not self._server.LISTENERS:  # closed first of all when the server stops
            return "shutdown"
        if asked:
            return asked
        if is_booting and ending is not None and not by_signal:
            return "boot"
        return "recycled" if worker.max_requests < sys.maxsize and not by_signal else "signal"


def has_booted(worker: Any) -> bool:
    """Tell whether a worker has given a sign of life since its fork."""
    try:
        return bool(worker.tmp.last_update() > worker.forked)
    except (OSError, ValueError):  # closed: it has just ended
        return False


def _has_failed_to_boot(ending: Any) -> bool:
    """Tell whether this is the end, if it is known, for which Gunicorn ends the whole server."""
    codes = {Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR}
    return ending is None or (ending.si_code == os.CLD_EXITED and ending.si_status in codes)


def _is_not_said_below(record: logging.LogRecord) -> bool:
    """Drop Gunicorn's own lines about a worker's end, which do not know why it was."""
    return not str(record.msg).startswith(("Worker (pid:%s) was sent", "Worker (pid:%s) exited"))


def _describe(ending: Any) -> dict[str, Any]:
    if ending is None:
        return {}
    if ending.si_code in {os.CLD_KILLED, os.CLD_DUMPED}:
        return {"signal": signal.Signals(ending.si_status).name}
    return {"exit_code": ending.si_status}

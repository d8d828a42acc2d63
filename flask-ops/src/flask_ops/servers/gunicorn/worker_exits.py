"""The reasons for worker exits. Each exit is logged in one line and counted.

Without this module, one worker that cannot start would end the whole server.
"""

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
"""Reasons for a worker exit, in this order: ``max_requests``; SIGHUP; SIGTTOU; the server stops; requests hold every
thread for too long; no heartbeat within ``timeout``; the application cannot be loaded; a fault of the worker (an exit
code, or a signal such as SIGSEGV); a signal from outside."""

_PLANNED = {"recycled", "reload", "scaled", "shutdown"}
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
_log = structlog.stdlib.get_logger(__name__)


class WorkerExits:
    """Watches the worker exits of Gunicorn's arbiter ``server``. Adds workers that never served to ``failures``."""

    def __init__(self, server: Any, failures: StartFailures) -> None:
        self._server, self._failures = server, failures
        self._endings: dict[int, Any] = {}
        self._asked: dict[int, str] = {}
        self._living: dict[int, Any] = {}
        self._booting: set[int] = set()
        # Only the main thread, which also forks, writes these metrics. If another thread held their lock during the
        # fork, the lock would stay locked in the worker for ever.
        self._exits = Counter("service_worker_exits", "Workers that have ended.", ["reason"], registry=None)
        for reason in REASONS:
            self._exits.labels(reason)
        logging.getLogger("gunicorn.error").addFilter(_is_not_said_below)

    def expect(self, pids: Iterable[int], reason: str) -> None:
        """Note that these workers will end, with the reason."""
        self._asked.update(dict.fromkeys(pids, reason))

    def is_expected(self, pid: int) -> bool:
        """Tell whether this worker already has to end."""
        return pid in self._asked

    def reap_workers(self, ended: Callable[[Any], None]) -> None:
        """Reap ended workers. Call ``ended`` with each, then log and count its exit.

        Raises HaltServer like Gunicorn if a worker ended before it served, and no other worker serves.
        """
        halt: HaltServer | None = None
        while True:
            self._look()
            try:
                Arbiter.reap_workers(self._server)
                again = False
            except HaltServer as error:
                # Gunicorn stops the whole server if one worker cannot start. That is right at the first start. It is
                # wrong while other workers serve, for example after the code on disk was replaced.
                halt, again = error, True
            for pid, worker in self._living.items():
                if pid not in self._server.WORKERS:
                    ended(worker)
                    if again and _has_failed_to_boot(self._endings.get(pid)):
                        # HaltServer kept Gunicorn from both.
                        worker.tmp.close()
                        self._server.cfg.child_exit(self._server, worker)
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
                ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # does not reap
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
        # Gunicorn repeats its SIGTERM, which can kill a worker that has nearly ended. It says nothing about the reason.
        if by_signal and ending.si_status != signal.SIGTERM:
            return "crash" if ending.si_status in _FAULTS else "signal"
        is_booting = worker.pid in self._booting
        if ending is not None and not by_signal and ending.si_status != 0:
            return "boot" if is_booting else "crash"
        if not self._server.LISTENERS:  # a stop closes the listeners first
            return "shutdown"
        if asked:
            return asked
        if is_booting and ending is not None and not by_signal:
            return "boot"
        return "recycled" if worker.max_requests < sys.maxsize and not by_signal else "signal"


def has_booted(worker: Any) -> bool:
    """Tell whether a worker has sent a heartbeat since its fork."""
    try:
        return bool(worker.tmp.last_update() > worker.forked)
    except (OSError, ValueError):  # closed: the worker has just ended
        return False


def _has_failed_to_boot(ending: Any) -> bool:
    """Tell whether Gunicorn stops the whole server because of this exit. An unknown exit counts."""
    codes = {Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR}
    return ending is None or (ending.si_code == os.CLD_EXITED and ending.si_status in codes)


def _is_not_said_below(record: logging.LogRecord) -> bool:
    """Drop Gunicorn's own lines about worker exits, which lack the reason."""
    return not str(record.msg).startswith(("Worker (pid:%s) was sent", "Worker (pid:%s) exited"))


def _describe(ending: Any) -> dict[str, Any]:
    if ending is None:
        return {}
    if ending.si_code in {os.CLD_KILLED, os.CLD_DUMPED}:
        return {"signal": signal.Signals(ending.si_status).name}
    return {"exit_code": ending.si_status}

"""What Gunicorn's master does for the monitoring; called by the hooks in gunicorn.conf.py."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import Counter

from service import capacity, listening, readiness, slots, store
from service.management import INHERITED, Management
from service.settings import Settings
from service.sources import sources

HEARTBEAT_SECONDS = 10.0
"""A threaded worker gives a sign of life each second, however busy its threads are. After so many seconds
without one from any worker, the service counts as dead."""
REASONS = ("recycled", "reload", "scaled", "shutdown", "timeout", "crash", "signal")
"""Why a worker ends: ``max_requests``, SIGHUP, SIGTTOU, the end of the server, silence for longer
than ``timeout``, a fault of its own (an exit code or a signal such as SIGSEGV), a signal from outside."""

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}


class Master:
    """Gives each worker its slot in the store, counts why workers end, answers on the management address."""

    def __init__(self, server: Any, settings: Settings) -> None:
        self._server = server
        management = Management(
            settings, self._fault, partial(readiness.of_workers, store.directory()), sources(settings)
        )
        self._listener = management.listen()
        self._reap = server.reap_workers
        self._endings: dict[int, Any] = {}
        self._asked_to_end: dict[int, str] = {}
        store.identify(str(slots.take(store.directory())))
        self._mine = slots.held()
        # Only the main thread writes metrics here, and it is the one that forks: a lock that
        # another thread held at that moment would be locked in the worker for ever.
        self._exits = Counter("service_worker_exits", "Workers that have ended.", ["reason"], registry=None)
        for reason in REASONS:
            self._exits.labels(reason)
        # No hook of Gunicorn's tells how a worker ended, and all of it reaps workers by this name.
        server.reap_workers = self._reap_workers

    def ready(self) -> None:
        """Serve on the management address: the service listens."""
        listening.watch(self._server.LISTENERS)
        if self._listener is not None:
            self._listener.start()

    def leaving(self) -> None:
        """Serve no longer: the service has stopped."""
        if self._listener is not None:
            self._listener.stop()

    def before_fork(self, worker: Any) -> None:
        """Take a slot for the worker, after those of workers that ended unnoticed are given back."""
        living = {living.slot for living in self._server.WORKERS.values()}
        slots.release(slots.held() - living - self._mine)
        for slot in self._mine:
            store.forget(slot)  # with preload_app, the master has made gauges; it serves nothing
        worker.slot = slots.take(store.directory())
        store.prepare(worker.slot)
        worker.forked = time.monotonic()

    def after_fork(self, worker: Any) -> None:
        """In the worker: write into the files of its slot from now on."""
        if self._listener is not None:
            self._listener.close_in_child()
        slots.keep_only(worker.slot)
        listening.watch(worker.sockets)
        capacity.threads = worker.cfg.threads  # 1 in a sync worker
        store.identify(str(worker.slot))

    def reloading(self) -> None:
        """Note that all workers that live now are about to be replaced."""
        self._asked_to_end.update(dict.fromkeys(self._server.WORKERS, "reload"))

    def ended(self, worker: Any) -> None:
        """Count a worker that was reaped, and give its slot back."""
        store.forget(worker.slot)
        slots.release([worker.slot])
        self._exits.labels(self._reason(worker)).inc()

    def hand_over(self) -> None:
        """Before this process becomes another master (SIGUSR2): let it go on with the same store."""
        environ = self._server.cfg.env_orig
        for name in (store.VARIABLE, store.OWNED):
            if name in os.environ:
                environ[name] = os.environ[name]
        if self._listener is not None:
            os.set_inheritable(self._listener.fileno(), True)
            environ[INHERITED] = str(self._listener.fileno())

    def _fault(self) -> str | None:
        """Return why no worker can answer, None if one can."""
        if not self._server.LISTENERS:  # it is being stopped, and a restart would not make it better
            return None
        workers = list(self._server.WORKERS.values())
        if not workers:
            return "no worker is alive"
        silent = min(_silent_seconds(worker) for worker in workers)
        # A sync worker that serves a request says nothing meanwhile.
        threaded = issubclass(self._server.worker_class, ThreadWorker)
        bound = HEARTBEAT_SECONDS if threaded else self._server.timeout + HEARTBEAT_SECONDS
        return f"no worker has given a sign of life for {silent:.0f} seconds" if silent > bound else None

    def _reap_workers(self) -> None:
        for pid in list(self._server.WORKERS):
            try:
                ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # only looks
            except ChildProcessError:
                continue
            if ending is not None:
                self._endings[pid] = ending
        self._reap()

    def _reason(self, worker: Any) -> str:
        asked = self._asked_to_end.pop(worker.pid, None)
        ending = self._endings.pop(worker.pid, None)
        if worker.aborted:
            return "timeout"
        by_signal = ending is not None and ending.si_code in {os.CLD_KILLED, os.CLD_DUMPED}
        # Gunicorn repeats its SIGTERM, and a worker that is nearly gone dies of it: that is no end of its own.
        if by_signal and ending.si_status != signal.SIGTERM:
            return "crash" if ending.si_status in _FAULTS else "signal"
        if ending is not None and not by_signal and ending.si_status != 0:
            return "crash"
        if not self._server.LISTENERS:  # closed first of all when the server stops
            return "shutdown"
        if asked:
            return asked
        if len(self._server.WORKERS) >= self._server.num_workers:
            return "scaled"
        return "recycled" if worker.max_requests < sys.maxsize and not by_signal else "signal"


def _silent_seconds(worker: Any) -> float:
    """Return how long ago a worker touched its heartbeat file; before the first time, since its fork."""
    try:
        touched = float(worker.tmp.last_update())
    except (OSError, ValueError):  # closed: it has just ended
        return math.inf
    now = time.monotonic()
    # Gunicorn sets the file's time to the monotonic clock; when it is made it has the wall clock's.
    return now - (touched if touched <= now else float(worker.forked))

"""The monitoring in Gunicorn's master: slots and ends of workers, and the management address.

Without this module, workers would have no place in the metrics store, and probes would get no answer.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from collections.abc import Collection, Iterator
from typing import Any

import structlog
from prometheus_client import Counter

from flask_ops import log
from flask_ops.core import multiprocess
from flask_ops.core.settings import Settings
from flask_ops.health import readiness
from flask_ops.log import levels
from flask_ops.management.routes import INHERITED, Management
from flask_ops.metrics import sources, store, store_folder
from flask_ops.metrics.store import STORE
from flask_ops.ops import startup
from flask_ops.servers.gunicorn import logger
from flask_ops.servers.gunicorn.hung_worker_stacks import Stacks
from flask_ops.servers.gunicorn.succession import Succession
from flask_ops.servers.gunicorn.worker_exits import WorkerExits, last_heartbeat
from flask_ops.servers.gunicorn.worker_signals import EarlySignals
from flask_ops.web import stuck_requests

HEARTBEAT_SECONDS = 10.0
"""If no worker sends a heartbeat for this long, the service counts as dead. A worker sends one each second, however
busy its threads are."""

_log = structlog.stdlib.get_logger(__name__)


class Master:
    """Assigns slots in the metrics store, reports the ends of workers, and answers on the management address."""

    def __init__(
        self, server: Any, settings: Settings, exits: WorkerExits, succession: Succession, signals: EarlySignals
    ) -> None:
        self.server, self._exits, self._succession, self._signals = server, exits, succession, signals
        self.settings = settings
        metrics = sources.Collector(settings, lambda: "gunicorn")
        management = Management(
            settings, self.fault, self.readiness, metrics.collect, metrics.counts, server="gunicorn"
        )
        self._listener = management.listen()
        STORE.settle(store.MASTER)
        if os.geteuid() == 0:
            startup.give_store(server.cfg.uid, server.cfg.gid)
        self._publish_drops = sources.dropped_lines(None)
        self._timed_out = Counter(*stuck_requests.TIMED_OUT, registry=None)

    def ready(self) -> None:
        """Serve on the management address, now that the service listens."""
        sources.watch(self.server.LISTENERS)
        if self._listener is not None:
            self._listener.start()
        # Workers share the memory of the current objects. Otherwise the first full garbage collection in each worker
        # would write to every object, and so copy it.
        gc.freeze()

    def leaving(self) -> None:
        """Stop serving: the service has stopped, or another master answers."""
        if self._listener is not None:
            self._listener.stop()

    def before_fork(self, worker: Any) -> None:
        """Take a slot for the worker."""
        worker.slot = STORE.slot_for_worker({living.slot for living in self.server.WORKERS.values()})
        # Gunicorn waits for ever for a worker's first heartbeat: the heartbeat file starts with wall-clock time, but
        # Gunicorn compares it with monotonic time. After notify(), `timeout` limits the start.
        worker.tmp.notify()
        worker.forked = worker.tmp.last_update()
        worker.stacks = Stacks()
        self._signals.expect_worker()

    def after_fork(self, worker: Any) -> None:
        """Switch this process, the new worker, to its own slot and log."""
        log.serve(self.settings)
        if self._listener is not None:
            self._listener.close_in_child()
        STORE.become_worker(worker.slot)
        for sibling in self.server.WORKERS.values():
            sibling.stacks.close()
        worker.stacks.write_when_asked()
        sources.watch(worker.sockets)
        logger.start()

    def ended(self, worker: Any) -> None:
        """Forget the gauges of a reaped worker. Log the losses of a stuck one, or the stacks of an unresponsive one."""
        lost = stuck_requests.taken_down(multiprocess.directory(), worker.slot)
        if lost:
            _log.error("replacing worker: all threads stuck", worker_pid=worker.pid, **lost)
            self._exits.expect([worker.pid], "stuck")
        stacks = worker.stacks.read()
        if stacks:
            _log.error("replacing unresponsive worker", worker_pid=worker.pid, stacks=stacks)
            self._timed_out.inc(len(stacks))
        readiness.remember(multiprocess.directory(), worker.slot)
        store.forget(worker.slot)
        worker.stacks.close()

    @contextlib.contextmanager
    def handed_over(self) -> Iterator[None]:
        """Pass the store and the management socket to the next master (SIGUSR2), which the block starts."""
        environ = self.server.cfg.env_orig
        for name in (multiprocess.VARIABLE, store_folder.OWNED):
            if name in os.environ:
                environ[name] = os.environ[name]
        if self._listener is None:
            yield
            return
        os.set_inheritable(self._listener.fileno(), True)
        environ[INHERITED] = str(self._listener.fileno())
        yield
        os.set_inheritable(self._listener.fileno(), False)

    def let_go(self) -> None:
        """Release sockets and slots in a child that serves nothing."""
        if self._listener is not None:
            self._listener.close_in_child()
        for listener in self.server.LISTENERS:
            listener.close()
        STORE.keep_only()

    def turn(self) -> None:
        """Do the periodic work, about once a second."""
        levels.refresh()
        self._publish_drops()
        with contextlib.suppress(OSError):  # no descriptor left, for example; the next turn tries again
            store.forget_the_dead()

    def before_kill(self, pid: int, number: int) -> None:
        """Request the stacks of a worker that survived SIGABRT, before SIGKILL."""
        worker = self.server.WORKERS.get(pid)
        if number == signal.SIGKILL and worker is not None and worker.aborted:
            worker.stacks.ask(pid)

    def readiness(self, exclude: Collection[str] = ()) -> readiness.Readiness:
        """Return the readiness of all workers except those that are ending."""
        serving = {worker.slot for worker in self._succession.serving()}
        leaving = {worker.slot for worker in list(self.server.WORKERS.values())} - serving
        return readiness.of_workers(multiprocess.directory(), exclude, leaving)

    def fault(self) -> str | None:
        """Return the reason if no worker can answer, otherwise None."""
        if not self.server.LISTENERS:  # the service is stopping: a restart would not help
            return None
        workers = self._succession.serving()
        if not workers:
            return "no worker is alive"
        silent = time.monotonic() - max(map(last_heartbeat, workers))
        if silent > HEARTBEAT_SECONDS:
            return f"no worker has given a sign of life for {silent:.0f} seconds"
        return None

"""The worker of the service: Gunicorn's threaded worker, with metrics and reports.

Without it, stops would lose requests, and nothing would report the requests that the end of a worker interrupts.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError

from flask_ops.core import greenlets
from flask_ops.core.context import process_is_leaving
from flask_ops.core.draining import DRAIN
from flask_ops.log import sink
from flask_ops.ops import extension, runtime  # noqa: F401 - the workers share what the master has imported
from flask_ops.ops.startup import only_threads
from flask_ops.servers.gunicorn import stuck_worker, worker_signals
from flask_ops.servers.gunicorn.idle_connections import KeepingWorker
from flask_ops.servers.gunicorn.new_connections import FITTING_CONNECTIONS

if TYPE_CHECKING:
    from flask_ops.servers.gunicorn.hung_worker_stacks import Stacks
    from flask_ops.servers.gunicorn.master import Master

OWN_TERM_SECONDS = 1.0
"""Time for the master to begin the drain after a SIGTERM to the process group."""

_log = structlog.stdlib.get_logger(__name__)


class ServiceWorker(KeepingWorker):
    """A threaded worker that loses no connection at a stop, and always ends.

    It counts in its slot of the metrics store, observes its requests, and reports the interrupted ones.
    """

    master: ClassVar[Master]
    """Set by ``on_starting``, in the process that forks the workers."""
    slot: str
    """Its place in the metrics store."""
    forked: float
    """The heartbeat at its fork. A later one shows that it has booted."""
    stacks: Stacks
    _told_by_others = math.inf
    """The time of a SIGTERM that the master did not send."""
    _is_loading = True
    _runtime: runtime.Runtime | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self, "master"):
            _log.critical(
                "on_starting was replaced",
                reason="flask_ops works from this hook, and another one took its place",
                hint="call flask_ops.gunicorn.on_starting(server) in your on_starting",
            )
            raise SystemExit(78)
        self.master.before_fork(self)

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Warn about fewer connections than threads. Only an explicit ``worker_connections`` can cause this."""
        if cfg.worker_connections != FITTING_CONNECTIONS:
            super().check_config(cfg, log)

    def init_process(self) -> None:
        """Take the slot and serve until the process ends."""
        self.master.after_fork(self)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, observe its requests, and start the publishing threads."""
        signal.siginterrupt(worker_signals.STOP, True)  # otherwise a wait for a lock continues after the signal
        try:
            with only_threads():
                super().load_wsgi()
        except SystemExit as ended:
            if greenlets.reason():  # the threads that already run cannot end: their locks are not what they were
                sink.flush_and_exit(ended.code if isinstance(ended.code, int) else 1)
            raise
        except BaseException as error:  # noqa: BLE001 - any error ends this worker
            # Gunicorn would log it twice, the second time as text. A KeyboardInterrupt is no Ctrl-C here, because
            # Gunicorn handles SIGINT. After it, this process would continue as the master, and stop.
            _log.critical("application cannot be loaded", exc_info=True)
            raise SystemExit(
                Arbiter.APP_LOAD_ERROR if isinstance(error, AppImportError) else Arbiter.WORKER_BOOT_ERROR
            ) from None
        self._runtime = runtime.obtain(self.master.settings)
        self._runtime.run_under("gunicorn", self.cfg.threads, partial(stuck_worker.end_process, self))
        self.wsgi: Any = self._runtime.observe(self.wsgi)
        self._runtime.start()
        self.admission = self._runtime.admission
        signal.siginterrupt(worker_signals.STOP, False)  # as in Gunicorn
        self._is_loading = False

    def init_signals(self) -> None:
        """Listen to the master's own signal, and hear SIGTERM apart from it."""
        super().init_signals()
        if worker_signals.STOP != signal.SIGTERM:
            signal.signal(worker_signals.STOP, self.handle_exit)
            signal.siginterrupt(worker_signals.STOP, False)
            signal.signal(signal.SIGTERM, self._hear_others)

    def _hear_others(self, _sig: int, _frame: FrameType | None) -> None:
        self._told_by_others = time.monotonic()

    def notify(self) -> None:
        """Give the heartbeat. Stop if only this worker got a SIGTERM, not the whole process group."""
        super().notify()
        if time.monotonic() - self._told_by_others > OWN_TERM_SECONDS:
            self._told_by_others = math.inf
            if not DRAIN.is_final:  # otherwise the master tells when to stop
                self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish the requests in flight, then end. End at once if the application is loading and no client waits.

        Gunicorn's own handler ends the worker only after the application is loaded, however long that takes. If clients
        wait, it is loaded, because perhaps no other worker can answer them.
        """
        if self._is_loading and not worker_signals.clients_wait(self.sockets):
            self._call_worker_exit()
            sink.flush()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)  # ends this process: it has nothing to finish
        else:
            super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once. The event makes the observer pass on the SystemExit."""
        process_is_leaving.set()
        super().handle_quit(sig, frame)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Report the unfinished requests of a worker that is unresponsive or exceeds the graceful timeout."""
        time_is_up = not self.alive  # the graceful stop took too long
        process_is_leaving.set()
        if self._runtime is not None:  # None while the application is loading
            self.stacks.write_no_more()
            if not time_is_up:
                self._runtime.saturation.report(self._runtime.observer.running())
            self._runtime.observer.cut_off()
            _call(self.cfg.worker_abort, self)
            self._call_worker_exit()
            # Not by SystemExit: the interpreter would wait for the threads that serve.
            sink.flush_and_exit(0 if time_is_up else 1)
        super().handle_abort(sig, frame)

    def _call_worker_exit(self) -> None:
        """Call the hook, because Gunicorn does so only in a worker that ends by an exception."""
        _call(self.cfg.worker_exit, self.master.server, self)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Start or stop accepting connections. At a stop, accept all in the backlog, then close the socket.

        To close it without that would reset those connections. To close it later would keep new clients waiting, which
        are better refused.
        """
        if self.alive or not DRAIN.is_final:
            super().set_accept_enabled(enabled)
            return
        if enabled:  # the stop came just before this call
            return
        for listener in self.sockets:
            listener.setblocking(False)
            self.accept_up_to(self.nr_conns + self.cfg.backlog + 1, listener)
        super().set_accept_enabled(enabled)
        for listener in self.sockets:
            listener.close()


def _call(hook: Callable[..., object], *arguments: object) -> None:
    try:
        hook(*arguments)
    except Exception:  # noqa: BLE001 - a hook may raise anything, and the worker must still end
        _log.exception("hook failed")

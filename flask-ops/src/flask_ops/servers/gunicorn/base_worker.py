"""The base class of our Gunicorn workers.

Without it, workers would have no metrics, and nothing would report the requests that the end of a worker interrupts.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError
from gunicorn.workers.base import Worker

from flask_ops.core.context import process_is_leaving
from flask_ops.log import sink
from flask_ops.servers.gunicorn import early_signals, hung_worker_stacks

if TYPE_CHECKING:
    from flask_ops.ops.runtime import Runtime
    from flask_ops.servers.gunicorn.master import Master

_log = structlog.stdlib.get_logger(__name__)


def _exit_code(error: BaseException) -> int:
    """Return the exit code that tells Gunicorn's master that other workers would fail too."""
    return Arbiter.APP_LOAD_ERROR if isinstance(error, AppImportError) else Arbiter.WORKER_BOOT_ERROR


class BaseWorker(Worker):
    """A worker that counts in its slot, observes its requests, and reports the interrupted ones."""

    master: ClassVar[Master | None] = None
    """Set by ``on_starting``, in the process that forks the workers."""
    is_loading = True
    """True until the application is loaded."""
    has_left = False
    """True after the main loop has ended."""
    time_is_up = False
    """True if SIGABRT came because the graceful stop took too long. Otherwise SIGABRT ends an unresponsive worker."""
    _runtime: Runtime | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.master is None:
            _log.critical(
                "on_starting was replaced",
                reason="flask_ops works from this hook, and another one took its place",
                hint="call flask_ops.gunicorn.on_starting(server) in your on_starting",
            )
            raise SystemExit(78)
        self.master.before_fork(self)

    def init_process(self) -> None:
        """Take the slot and serve until the process ends."""
        assert self.master is not None  # noqa: S101 - checked in __init__
        self.master.after_fork(self)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, observe its requests, and start the publishing threads."""
        assert self.master is not None  # noqa: S101 - as above
        signal.siginterrupt(signal.SIGTERM, True)  # otherwise a wait for a lock continues after the signal
        try:
            super().load_wsgi()
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - any error ends this worker
            # Gunicorn would log it twice, the second time as text. A KeyboardInterrupt is no Ctrl-C here, because
            # Gunicorn handles SIGINT. After it, this process would continue as the master, and stop.
            _log.critical("application cannot be loaded", exc_info=True)
            raise SystemExit(_exit_code(error)) from None
        from flask_ops.ops import runtime  # noqa: PLC0415 - imports Flask, which the master does not need
        from flask_ops.servers.gunicorn import stuck_worker  # noqa: PLC0415 - as above

        self._runtime = runtime.obtain(self.master.settings)
        self._runtime.run_under("gunicorn", self.cfg.threads, partial(stuck_worker.end_process, self))
        self.wsgi: Any = self._runtime.observe(self.wsgi)
        self._runtime.start()
        signal.siginterrupt(signal.SIGTERM, False)  # as in Gunicorn
        self.is_loading = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish the requests in flight, then end. End at once if the application is loading and no client waits."""
        if self.is_loading and not early_signals.clients_wait(self.sockets):
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        super().handle_exit(sig, frame)

    def run(self) -> None:
        """Serve until the worker stops."""
        try:
            super().run()
        finally:
            self.has_left = True

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once. The event makes the observer pass on the SystemExit."""
        process_is_leaving.set()
        super().handle_quit(sig, frame)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Report the unfinished requests of a worker that is unresponsive or exceeds the graceful timeout."""
        self.time_is_up = not self.alive
        process_is_leaving.set()
        if self._runtime is not None:  # None while the application is loading
            hung_worker_stacks.write_no_more()
            if self.time_is_up:
                self._runtime.cut_off()
                self.cfg.worker_abort(self)
                sink.end_process()
            self._runtime.abort()
        super().handle_abort(sig, frame)

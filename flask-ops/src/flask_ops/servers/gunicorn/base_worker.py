"""The part that our Gunicorn workers share: their place in the metrics store, the observer, and their last words."""

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

from flask_ops.core.leaving import process_is_leaving
from flask_ops.log import sink
from flask_ops.servers.gunicorn import early_signals, silent_worker

if TYPE_CHECKING:
    from flask_ops.ops.runtime import Runtime
    from flask_ops.servers.gunicorn.master import Master

_log = structlog.stdlib.get_logger(__name__)


def _exit_code(error: BaseException) -> int:
    """Return the code by which Gunicorn's master knows that another worker would fail in the same way."""
    return Arbiter.APP_LOAD_ERROR if isinstance(error, AppImportError) else Arbiter.WORKER_BOOT_ERROR


class BaseWorker(Worker):
    """A worker that counts in its slot, observes its requests, and reports those that its end interrupts."""

    master: ClassVar[Master | None] = None
    """Set by ``on_starting``, in the process that forks the workers."""
    is_loading = True
    """The application is not loaded yet."""
    has_left = False
    """Its main loop has ended."""
    time_is_up = False
    """SIGABRT, by which Gunicorn ends an unresponsive worker, came because the graceful stop took too long."""
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
        assert self.master is not None  # noqa: S101 - __init__ has seen to it
        self.master.after_fork(self)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, observe its requests, and start the threads that publish."""
        assert self.master is not None  # noqa: S101 - as above
        signal.siginterrupt(signal.SIGTERM, True)  # otherwise a wait for a lock goes on after the signal
        try:
            super().load_wsgi()
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this worker
            # Gunicorn would log it twice, the second time as text. After a KeyboardInterrupt, which is no Ctrl-C
            # if Gunicorn has its handlers, this process would go on as the master, and stop.
            _log.critical("application cannot be loaded", exc_info=True)
            raise SystemExit(_exit_code(error)) from None
        from flask_ops.ops import runtime  # noqa: PLC0415 - with Flask, which the master does not need
        from flask_ops.servers.gunicorn import stuck_worker  # noqa: PLC0415 - as above

        self._runtime = runtime.obtain(self.master.settings)
        self._runtime.run_under("gunicorn", self.cfg.threads, partial(stuck_worker.end_where, self))
        self.wsgi: Any = self._runtime.observe(self.wsgi)
        self._runtime.start()
        signal.siginterrupt(signal.SIGTERM, False)  # as in Gunicorn
        self.is_loading = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after the requests in flight; at once if the application is being loaded and no client waits."""
        if self.is_loading and not early_signals.clients_wait(self.sockets):
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        super().handle_exit(sig, frame)

    def run(self) -> None:
        """Serve until the process is to end."""
        try:
            super().run()
        finally:
            self.has_left = True

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once: the SystemExit must pass the observer."""
        process_is_leaving.set()
        super().handle_quit(sig, frame)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Report what the worker was doing that was unresponsive, or is not done when the stop has taken its time."""
        self.time_is_up = not self.alive
        process_is_leaving.set()
        if self._runtime is not None:  # else the application was still being loaded
            silent_worker.write_no_more()
            if self.time_is_up:
                self._runtime.cut_off()
                self.cfg.worker_abort(self)
                sink.end_process()
            self._runtime.abort()
        super().handle_abort(sig, frame)

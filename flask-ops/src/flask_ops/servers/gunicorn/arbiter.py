"""Gunicorn's master process, with shutdown, reload and worker replacement that lose no request.

In the hook ``on_starting``, Gunicorn's arbiter gets this class. Without it, no other part of this package would run.
"""

from __future__ import annotations

import signal
from typing import Any

from gunicorn.arbiter import Arbiter

from flask_ops.core.settings import Settings
from flask_ops.servers.gunicorn.graceful_stop import GracefulStop
from flask_ops.servers.gunicorn.master import Master
from flask_ops.servers.gunicorn.reload_trial import ReloadTrial, refuse
from flask_ops.servers.gunicorn.succession import Succession
from flask_ops.servers.gunicorn.systemd import Systemd
from flask_ops.servers.gunicorn.worker import ServiceWorker
from flask_ops.servers.gunicorn.worker_exits import WorkerExits
from flask_ops.servers.gunicorn.worker_signals import STOP, EarlySignals


class OpsArbiter(Arbiter):
    """All differences from Gunicorn's arbiter. Each method delegates to the part that documents the reason."""

    _exits: WorkerExits
    _succession: Succession
    _stopping: GracefulStop
    _trial: ReloadTrial
    _master: Master
    _supervisor: Systemd
    _is_ready = False

    def take_over(self, settings: Settings) -> None:
        """Create the parts. If the configuration is refused, log one line and raise SystemExit."""
        refuse(self.cfg)
        self._exits = WorkerExits(self)
        self._succession = Succession(self, self._exits)
        self._master = Master(self, settings, self._exits, self._succession, EarlySignals())
        self._trial = ReloadTrial(self, self._succession, self._master)
        self._stopping = GracefulStop(self, settings.drain_seconds, self._leave)
        self._supervisor = Systemd(self._master.fault, self._master.readiness)
        ServiceWorker.master = self._master

    def manage_workers(self) -> None:
        if not self._is_ready:  # Gunicorn opens the listeners before the first call
            self._is_ready = True
            self._master.ready()
        self._succession.manage_workers()

    def spawn_worker(self) -> Any:
        return self._succession.spawn_or_retry()

    def reap_workers(self) -> None:
        self._exits.reap_workers(self._master.ended)

    def murder_workers(self) -> None:
        self._trial.turn()
        self._master.turn()
        super().murder_workers()
        self._supervisor.turn()

    def kill_worker(self, pid: int, sig: int) -> None:
        self._master.before_kill(pid, sig)
        super().kill_worker(pid, STOP if sig == signal.SIGTERM else sig)

    def kill_workers(self, sig: int) -> None:
        self._stopping.kill_workers(sig)

    def handle_hup(self) -> None:
        self._trial.ask()

    def reload(self) -> None:
        self._succession.reload()

    def handle_term(self) -> None:
        self._stopping.terminate()

    def handle_int(self) -> None:
        self._stopping.interrupt()

    def wait_for_signals(self, timeout: float | None = 1.0) -> Any:
        return self._stopping.wait_for_signals(timeout)

    def stop(self, graceful: bool = True) -> None:
        self._stopping.stop(graceful)

    def reexec(self) -> None:
        with self._master.handed_over():
            super().reexec()

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        try:
            super().halt(reason, exit_status)
        finally:  # halt() raises SystemExit; probes get answers until then
            self._leave()

    def _leave(self) -> None:
        self._trial.end()
        self._master.leaving()

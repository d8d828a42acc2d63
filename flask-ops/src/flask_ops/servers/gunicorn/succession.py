"""The replacement of workers: at a reload, and after the end of one.

At a reload, no worker ends before its successor serves. Without this module, Gunicorn would end the current workers as
soon as it has forked new ones. No worker would answer while the new ones load the code, or ever again if they fail.
Gunicorn's main loop would wait for the old workers. During a long request of one of them, SIGTERM would wait, and no
dead worker would be replaced.
"""

from __future__ import annotations

import math
import os
import signal
import time
from typing import Any

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.pidfile import Pidfile

from flask_ops.servers.gunicorn.worker_exits import WorkerExits, has_booted


class Succession:
    """Starts and ends the workers of Gunicorn's arbiter ``server``."""

    def __init__(self, server: Any, exits: WorkerExits) -> None:
        self._server, self._exits, self._failures = server, exits, exits.failures
        self._replaced_age = 0
        self._patience_ends = math.inf

    @property
    def is_going_on(self) -> bool:
        """True while workers from before the last reload wait for successors that may still start."""
        if self._failures or time.monotonic() > self._patience_ends:
            return False
        return any(self._is_old(worker) for worker in self.serving())

    def serving(self) -> list[Any]:
        """Return the workers that are not ending, the oldest first."""
        living = list(self._server.WORKERS.items())
        return sorted((worker for pid, worker in living if not self._exits.is_expected(pid)), key=lambda each: each.age)

    def _is_old(self, worker: Any) -> bool:
        return bool(worker.age <= self._replaced_age)

    def manage_workers(self) -> None:
        """Start missing workers, and end the workers that have a successor."""
        serving, number = self.serving(), self._server.num_workers
        new = [worker for worker in serving if not self._is_old(worker)]
        if not self._failures.is_pause:
            for _ in range(number - len(new)):
                self._server.spawn_worker()
        started = sum(map(has_booted, serving))
        if len(new) >= number and all(map(has_booted, new)):
            self._failures.forget()
        for worker in serving[: max(0, started - number)]:
            self._exits.expect([worker.pid], "reload" if self._is_old(worker) else "scaled")
            self._server.kill_worker(worker.pid, signal.SIGTERM)

    def reload(self) -> None:
        """Read the configuration again, mark all current workers for replacement, and start their successors.

        Unlike Gunicorn's ``reload``, this does not wait for the old workers. It keeps the listeners, because the trial
        refuses another ``bind``.
        """
        server = self._server
        server._stats["reloads"] += 1
        for name in server.cfg.env:
            os.environ.pop(name, None)
            if name in server.cfg.env_orig:
                os.environ[name] = server.cfg.env_orig[name]
        server.app.reload()
        server.setup(server.app)
        server.log.reopen_files()
        server.cfg.on_reload(server)
        if server.pidfile is not None:
            server.pidfile.unlink()
        if server.cfg.pidfile is not None:
            server.pidfile = Pidfile(server.cfg.pidfile)
            server.pidfile.create(server.pid)
        util._setproctitle(f"master [{server.proc_name}]")  # type: ignore[attr-defined] # not in the stub
        self._replaced_age = server.worker_age
        self._patience_ends = time.monotonic() + (server.timeout or 60)
        self._failures.forget()  # new code: manage_workers, which the main loop calls next, starts workers at once

    def spawn_or_retry(self) -> Any:
        """Start a worker. If the fork fails, try again later. Raise OSError if no worker serves."""
        try:
            return Arbiter.spawn_worker(self._server)
        except OSError as error:  # no process or descriptor left, for example: the current workers continue
            if not any(map(has_booted, self._server.WORKERS.values())):  # for example, at the start
                raise
            self._failures.note(len(self._server.WORKERS), reason=str(error))

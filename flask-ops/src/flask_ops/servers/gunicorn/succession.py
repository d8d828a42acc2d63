"""How many workers there are, of which code; none is ended before its successor serves.

Gunicorn ends the workers of now as soon as new ones are forked, waits in its main loop until they are gone,
and counts them as long as they live. So nobody answered while new workers loaded the code, for good where they could
not; and while an old one had a long request, SIGTERM waited and no worker that died was replaced.
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

from flask_ops.servers.gunicorn.start_failures import StartFailures
from flask_ops.servers.gunicorn.worker_exits import WorkerExits, has_booted


class Succession:
    """Starts and ends the workers of Gunicorn's arbiter ``server``."""

    def __init__(self, server: Any, exits: WorkerExits, failures: StartFailures) -> None:
        self._server, self._exits, self._failures = server, exits, failures
        self._replaced_age = 0
        self._patience_ends = math.inf

    @property
    def is_going_on(self) -> bool:
        """True while workers of before the last reload wait for their successors, and these may still come."""
        if self._failures or time.monotonic() > self._patience_ends:
            return False
        return any(self._is_old(worker) for worker in self.serving())

    def serving(self) -> list[Any]:
        """Return the workers that were not told to end, the oldest first."""
        living = list(self._server.WORKERS.items())
        return sorted((worker for pid, worker in living if not self._exits.is_expected(pid)), key=lambda each: each.age)

    def _is_old(self, worker: Any) -> bool:
        return bool(worker.age <= self._replaced_age)

    def manage_workers(self) -> None:
        """Start the workers that are missing, and end those that have a successor."""
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

        This is Gunicorn's ``reload``, except that it does not wait for the old workers. It keeps the listeners, because
        the trial has refused another ``bind``.
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
        for _ in range(server.num_workers):
            server.spawn_worker()

    def spawn_or_retry(self) -> Any:
        """Start a worker. If the system cannot, try again later, unless no worker serves."""
        try:
            return Arbiter.spawn_worker(self._server)
        except OSError as error:  # no process or no descriptor left, say: no reason to end those there are
            if not any(map(has_booted, self._server.WORKERS.values())):  # as at the start
                raise
            self._failures.note(len(self._server.WORKERS), reason=str(error))

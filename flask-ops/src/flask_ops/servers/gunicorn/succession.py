"""How many workers there are, of which code; none is ended before its successor serves.

Gunicorn ends the workers of now as soon as new ones are forked, waits in its main loop until they are gone,
and counts them as long as they live. So nobody answered while new workers loaded the code, for good where they could
not; and while an old one had a long request, SIGTERM waited and no worker that died was replaced.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter

from flask_ops.servers.gunicorn.start_failures import StartFailures
from flask_ops.servers.gunicorn.worker_exits import WorkerExits, has_booted


class _WorkersAreForkedError(Exception):
    """All is done of Gunicorn's reload but to wait."""


class Succession:
    """Starts and ends the workers of Gunicorn's arbiter ``server``."""

    def __init__(self, server: Any, exits: WorkerExits, failures: StartFailures) -> None:
        self._server, self._exits, self._failures = server, exits, failures
        self._replaced_age = 0
        self._is_reloading = False
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
        if self._is_reloading:
            raise _WorkersAreForkedError
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
        """Mark all current workers for replacement and start their successors, without waiting for anything."""
        self._replaced_age = self._server.worker_age
        self._patience_ends = time.monotonic() + (self._server.timeout or 60)
        self._is_reloading = True
        try:
            with contextlib.suppress(_WorkersAreForkedError):
                Arbiter.reload(self._server)
        finally:
            self._is_reloading = False

    def spawn_or_retry(self) -> Any:
        """Start a worker. If the system cannot, try again later, unless no worker serves."""
        try:
            return Arbiter.spawn_worker(self._server)
        except OSError as error:  # no process or no descriptor left, say: no reason to end those there are
            if not any(map(has_booted, self._server.WORKERS.values())):  # as at the start
                raise
            self._failures.note(len(self._server.WORKERS), reason=str(error))

"""Gunicorn's worker that serves one request at a time, with a stop that costs none."""

from __future__ import annotations

import errno
from typing import Any

from gunicorn.workers.sync import SyncWorker

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn.base_worker import BaseWorker


class ServiceSyncWorker(BaseWorker, SyncWorker):
    """Serves what waits in the kernel's queue before it ends, at the end of the server: else it would be reset.

    Each of its responses closes the connection, in a drain and at any other time.
    """

    def run(self) -> None:
        """Serve until the process is to end."""
        super().run()
        if DRAIN.is_final:
            for listener in self.sockets:
                self._serve_waiting(listener)

    def _serve_waiting(self, listener: Any) -> None:
        for _ in range(self.cfg.backlog + 1):
            self.notify()
            try:
                self.accept(listener)
            except OSError as error:
                if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK}:
                    return
                if error.errno != errno.ECONNABORTED:
                    raise

"""Gunicorn's worker for one request at a time. Without this module, a stop would reset waiting connections."""

from __future__ import annotations

import errno
from typing import Any

from gunicorn.workers.sync import SyncWorker

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn.base_worker import BaseWorker


class ServiceSyncWorker(BaseWorker, SyncWorker):
    """Serves the connections in the backlog before the server stops. Otherwise the kernel would reset them.

    Each response closes its connection, during a drain and at any other time.
    """

    def run(self) -> None:
        """Serve until the worker stops."""
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

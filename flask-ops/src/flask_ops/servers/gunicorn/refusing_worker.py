"""The worker's part in overload. Without it, a refusal would cost half as much as an answer, and wait for a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn import refusal
from flask_ops.servers.gunicorn.idle_connections import KeepingWorker

if TYPE_CHECKING:
    from flask_ops.web.admission import Admission


class RefusingWorker(KeepingWorker):
    """A worker that refuses late requests before it parses them, once ``refuse_by`` was called."""

    _admission: Admission | None = None

    def refuse_by(self, admission: Admission) -> None:
        """Refuse requests from now on."""
        self._admission = admission

    @property
    def is_overloaded(self) -> bool:
        """True while a queue stands."""
        return self._admission is not None and self._admission.is_overloaded

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for the serving threads. Under overload, some requests go first."""
        if self._admission and self._admission.is_overloaded and refusal.goes_first(conn, self._admission):
            self.enqueue_first(conn)
        else:
            super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve the request that waits on a connection, or refuse it. Return whether to keep the connection."""
        if self._admission and self._admission.is_queueing:
            keeps = refusal.refuse(conn, self._admission, closes=not self.alive or bool(DRAIN))
            if keeps is not None:
                return keeps
        return super().handle(conn)

"""Waitress's queue of requests for its threads. Without it, critical requests would wait behind all others."""

from __future__ import annotations

from typing import Any

from waitress.task import ThreadedTaskDispatcher

from flask_ops.web.admission import Admission


class Queue(ThreadedTaskDispatcher):  # type: ignore[misc] # Waitress ships no types
    """A queue in which critical requests go first under overload."""

    def __init__(self, admission: Admission) -> None:
        super().__init__()
        self._admission = admission

    def add_task(self, channel: Any) -> None:
        """Queue a connection with a request, before the requests that are not critical if it is."""
        channel.goes_first = self._admission.is_overloaded and self._admission.is_critical(_path(channel))
        if not channel.goes_first:
            super().add_task(channel)
            return
        with self.lock:
            others = (index for index, waiting in enumerate(self.queue) if not waiting.goes_first)
            self.queue.insert(next(others, len(self.queue)), channel)
            self.queue_cv.notify()


def _path(channel: Any) -> str:
    request = channel.requests[0]
    return "" if request.error else request.path.removeprefix(channel.adj.url_prefix)

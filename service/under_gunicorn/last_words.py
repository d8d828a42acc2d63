"""A worker that knows, when it is being killed, whether it was silent for too long or was to end anyway."""

from __future__ import annotations

from types import FrameType

from gunicorn.workers.base import Worker


class LastWords(Worker):
    """Notes whether SIGABRT, by which Gunicorn ends a silent worker, has come to one whose stop has taken its time."""

    has_left = False
    """Its main loop has ended."""
    time_is_up = False

    def run(self) -> None:
        """Serve until the process is to end."""
        try:
            super().run()
        finally:
            self.has_left = True

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """End, after the hook ``worker_abort``."""
        self.time_is_up = not self.alive
        super().handle_abort(sig, frame)

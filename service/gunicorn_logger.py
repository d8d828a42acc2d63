"""Gunicorn's own lines, through the formatter of all others."""

from __future__ import annotations

from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger


class GunicornLogger(Logger):
    """Hands Gunicorn's lines to the root logger, and leaves the request's line to the observer."""

    def setup(self, cfg: Config) -> None:
        """Set the level, which ``--log-level`` may have changed, and no handler."""
        self.cfg = cfg
        self.error_log.setLevel(cfg.loglevel.upper())
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing: requests are logged by ``service.observer``, exactly once."""

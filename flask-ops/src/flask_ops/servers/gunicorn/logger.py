"""The logger for Gunicorn's own lines. Without it, they would have another format and could contain secrets."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from flask_ops.log import levels
from flask_ops.log.masking import MASKED
from flask_ops.servers.gunicorn import rejections

_REJECTED = "Invalid request from ip="
_CONFIGURATION = "Current configuration:"
_DISCONNECTED = "Ignored premature client disconnection."


class GunicornLogger(Logger):
    """Passes Gunicorn's lines to the root logger, without quotes from requests.

    A header or a query string may contain a secret. The observer logs the requests.
    """

    def setup(self, cfg: Config) -> None:
        """Set the level, which ``--log-level`` may have changed. Add no handler."""
        self.cfg = cfg
        level = logging.getLevelNamesMapping().get(cfg.loglevel.upper(), logging.INFO)
        # The root's level can change at run time. Gunicorn's level follows unless the command line sets another one.
        root = levels.configured(logging.getLogger())
        levels.configure(self.error_log, logging.NOTSET if level == root else level)
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing: ``flask_ops.web.observer`` logs each request, exactly once."""

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a warning. If Gunicorn refused a request, log fields instead of its text."""
        error = sys.exception()
        if error is not None and isinstance(msg, str) and msg.startswith(_REJECTED):
            rejections.report(error, client=msg.removeprefix(_REJECTED).partition(": ")[0])
        else:
            super().warning(msg, *args, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log an exception without the query string of the request."""
        if str(msg).startswith("Error handling request %s"):
            args = tuple(str(arg).partition("?")[0] for arg in args)
        super().exception(msg, *args, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a debug message, without data from a disconnected client and without the values of ``--env``."""
        if str(msg).startswith(_DISCONNECTED):
            msg, args = _DISCONNECTED, ()
        elif str(msg).startswith(_CONFIGURATION):
            msg = re.sub(r"(?m)^(  raw_env: ).*$", rf"\1{MASKED}", str(msg))
        super().debug(msg, *args, **kwargs)

"""How ``python -m service`` serves: the development server in development, Waitress in production."""

from __future__ import annotations

import structlog
from flask import Flask
from werkzeug.serving import WSGIRequestHandler

from service import logs
from service.settings import Mode, Settings
from service.startup import open_store, start

_log = structlog.stdlib.get_logger(__name__)


def run() -> int:
    """Serve until told to stop; return the exit code."""
    settings = start(default_mode=Mode.DEVELOPMENT)
    logs.take_printed_lines(settings)  # of modules as they are imported, too
    open_store(if_chosen=True)  # before any metric is made
    if settings.mode is Mode.DEVELOPMENT:
        serve = _serve_development
    else:
        # Before the application, whose metrics say which server runs.
        from service.under_waitress.server import serve  # noqa: PLC0415 - development does without it
    from service.app import create_app  # noqa: PLC0415 - if it cannot be imported, the log has to say so

    app = create_app(settings)
    try:
        serve(app, settings)
    except (OSError, ValueError) as error:  # Waitress raises a ValueError for a host that is unknown
        _log.critical("cannot listen", bind=str(settings.bind), reason=getattr(error, "strerror", None) or str(error))
        return 1
    return 0


def _serve_development(app: Flask, settings: Settings) -> None:
    bind = settings.bind
    app.run(f"unix://{bind.unix}" if bind.unix else bind.host, bind.port, debug=True, request_handler=_QuietHandler)


class _QuietHandler(WSGIRequestHandler):
    """The development server's handler, without its own line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave it to ``service.web.observer``."""

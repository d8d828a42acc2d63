"""The servers behind the command line: the development server, and Waitress in production."""

from __future__ import annotations

import argparse
import importlib.util
import os

import structlog
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, is_running_from_reloader

from flask_ops import log
from flask_ops.core.loading import from_here, load_application
from flask_ops.core.port_holders import holders
from flask_ops.core.settings import Mode, Settings
from flask_ops.ops.startup import only_threads, open_store, start

_log = structlog.stdlib.get_logger(__name__)


def run(options: argparse.Namespace) -> int:
    """Serve the application until a signal stops it, and return the exit code.

    The default mode is production for the command ``serve``, and development for a service without a command.
    """
    from_here()
    read = start(options.settings, default_mode=Mode.PRODUCTION if options.command else Mode.DEVELOPMENT)
    os.environ["SERVICE_ENV"] = read.mode  # the application reads its own settings, with another default
    log.take_printed_lines(read)  # also from modules during their import
    open_store(if_chosen=True)  # before any metric exists
    if read.mode is Mode.DEVELOPMENT:
        serve = _serve_development
    else:
        # Fail before the application is loaded.
        if importlib.util.find_spec("waitress") is None:
            _log.critical("Waitress is not installed", hint="install flask-ops[waitress], or use Gunicorn")
            return 1
        from flask_ops.servers.waitress import serve  # noqa: PLC0415 - development does not need it
    with only_threads():
        app = load_application(options.application)
    try:
        serve(app, read)
    except (OSError, ValueError) as error:  # Waitress raises a ValueError for an unknown host
        _log.critical("cannot listen", bind=str(read.bind), reason=getattr(error, "strerror", None) or str(error))
        return 1
    return 0


def _serve_development(app: Flask, settings: Settings) -> None:
    bind = settings.bind
    host = f"unix://{bind.unix}" if bind.unix else bind.host
    try:
        app.run(host, bind.port, debug=True, request_handler=_QuietHandler)
    except SystemExit:  # also if the address is in use, which Werkzeug has printed
        if not is_running_from_reloader() and (held := holders(bind)):
            _log.critical("cannot listen", bind=str(bind), reason=f"Address already in use by {held}")
        raise


class _QuietHandler(WSGIRequestHandler):
    """The development server's handler, without its own line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the observer logs each request."""

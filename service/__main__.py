"""``python -m service``: the development server in development, Waitress in production."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import structlog
from flask import Flask
from werkzeug.serving import WSGIRequestHandler

from service.settings import Mode, Settings, documentation
from service.startup import start

_log = structlog.stdlib.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code."""
    _parser().parse_args(arguments)
    settings = start(default_mode=Mode.DEVELOPMENT)
    from service.app import create_app  # noqa: PLC0415 - if it cannot be imported, the log has to say so

    app = create_app(settings)
    try:
        if settings.mode is Mode.DEVELOPMENT:
            _serve_development(app, settings)
        else:
            _serve_production(app, settings)
    except (OSError, ValueError) as error:  # Waitress raises a ValueError for a host that is unknown
        _log.critical("cannot listen", bind=str(settings.bind), reason=getattr(error, "strerror", None) or str(error))
        return 1
    return 0


def _serve_development(app: Flask, settings: Settings) -> None:
    bind = settings.bind
    app.run(f"unix://{bind.unix}" if bind.unix else bind.host, bind.port, debug=True, request_handler=_QuietHandler)


def _serve_production(app: Flask, settings: Settings) -> None:
    from service import waitress_server  # noqa: PLC0415 - development does without it

    waitress_server.serve(app, settings)


class _QuietHandler(WSGIRequestHandler):
    """The development server's handler, without its own line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave it to ``service.observer``."""


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation()]
    return argparse.ArgumentParser(
        prog="python -m service",
        description="Serve: with the development server where SERVICE_ENV is development (the default here), "
        "else with Waitress. Settings are environment variables:",
        epilog="\n".join(lines).replace("`", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())

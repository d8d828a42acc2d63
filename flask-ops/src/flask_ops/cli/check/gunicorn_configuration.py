"""Gunicorn's configuration, read in the process of a trial load. Gunicorn does not exist on Windows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gunicorn import sock
from gunicorn.app.wsgiapp import WSGIApplication

from flask_ops.cli.findings import Finding, error, warning
from flask_ops.core.address import Address
from flask_ops.ops import startup
from flask_ops.servers.gunicorn.reload_trial import refusals


def read(arguments: list[str]) -> Any:
    """Return Gunicorn's configuration for these arguments. Raises SystemExit like Gunicorn.

    Without an own gunicorn.conf.py, an application of the command line gets the configuration of the library.
    """
    startup.open_store = lambda **_: None  # configure() calls it: make no store
    if arguments and not Path("gunicorn.conf.py").exists():
        options = os.environ.get("GUNICORN_CMD_ARGS", "")
        os.environ["GUNICORN_CMD_ARGS"] = f"--config=python:flask_ops.gunicorn {options}"
    sys.argv = ["gunicorn", *arguments]
    return WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").cfg


def limits(config: Any) -> dict[str, Any]:
    """Return the fields of ``deployment.Limits``, as JSON can represent them."""
    # A number is an inherited descriptor, which already listens.
    binds = [
        Address(unix=address) if isinstance(address, str) else Address(address[0] or "0.0.0.0", address[1])  # noqa: S104 - what an empty host means
        for address in config.address
        if not isinstance(address, int)
    ]
    return {
        "binds": binds,
        "workers": config.workers,
        "keep_alive_seconds": config.keepalive,
        "graceful_seconds": config.graceful_timeout,
    }


def look(config: Any) -> Iterator[Finding]:
    """Yield findings about the configuration. Raises the exceptions of classes and TLS files that cannot be loaded."""
    for event, why in refusals(config):
        yield error("gunicorn", f"It does not start: {event}. {why['reason']}", why["hint"])
    if config.is_ssl:  # Gunicorn opens the files only for a connection
        sock.ssl_context(config)
    if config.reload:
        yield warning(
            "reload",
            "Gunicorn reloads when a file changes: it could load a half-copied deployment.",
            "Remove reload from gunicorn.conf.py and GUNICORN_CMD_ARGS; SIGHUP reloads on demand.",
        )
    if config.forwarded_allow_ips:
        yield warning(
            "proxies",
            f"Gunicorn's forwarded_allow_ips is {','.join(config.forwarded_allow_ips)}: it also trusts headers "
            "from there, whatever SERVICE_TRUSTED_PROXIES is.",
            'Set forwarded_allow_ips = "" in gunicorn.conf.py, or --forwarded-allow-ips="" in GUNICORN_CMD_ARGS.',
        )

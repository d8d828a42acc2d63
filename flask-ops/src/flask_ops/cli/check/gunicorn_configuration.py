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
from flask_ops.servers.gunicorn import worker_classes
from flask_ops.servers.gunicorn.idle_connections import connection_limit


def read(arguments: list[str]) -> Any:
    """Return Gunicorn's configuration for these arguments. Raises SystemExit like Gunicorn.

    Without an own gunicorn.conf.py, an application of the command line gets the configuration of the library.
    """

    def create_no_store(**_: object) -> None:
        pass

    startup.open_store = create_no_store  # configure() calls it
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
        "binds": [bind._asdict() for bind in binds],
        "workers": config.workers,
        "threads": config.threads,
        "connections": connection_limit(config),
        "keep_alive_seconds": config.keepalive,
        "graceful_seconds": config.graceful_timeout,
        "user": config.uid,
    }


def look(config: Any) -> Iterator[Finding]:
    """Yield findings about the configuration."""
    for problem in _problems(config):
        yield error("gunicorn", f"It could not serve: {problem}.", "Correct gunicorn.conf.py or GUNICORN_CMD_ARGS.")
    if _class_problem(config, "worker_class") is None and (refusal := worker_classes.fault(config)):
        text = f"The service does not start with this worker_class: {refusal}."
        yield error("worker class", text, worker_classes.CURE)
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
    if config.worker_tmp_dir and not os.access(config.worker_tmp_dir, os.W_OK | os.X_OK):
        yield error(
            "heartbeat",
            f"No worker could start: this user cannot write to worker_tmp_dir, {config.worker_tmp_dir}.",
            "Mount a tmpfs there, or set worker_tmp_dir in gunicorn.conf.py.",
        )


def _problems(config: Any) -> Iterator[str]:
    """Yield the reasons why Gunicorn would not start, or would answer no requests. It opens these files only then."""
    if config.workers < 1:
        yield "workers is 0"
    if config.preload_app:
        yield "preload_app is True, which the service refuses"
    for name in ("worker_class", "logger_class"):
        problem = _class_problem(config, name)
        if problem is not None:
            yield f"{name} is {config.settings[name].get()}: {problem}"
    try:
        if config.is_ssl:
            sock.ssl_context(config)
    except (OSError, TypeError) as fault:  # TypeError without a certfile
        yield f"certfile is {config.certfile}, keyfile is {config.keyfile}: {type(fault).__name__}: {fault}"


def _class_problem(config: Any, name: str) -> str | None:
    """Return why Gunicorn cannot load the class of this setting."""
    try:
        # For a module without such a class, Gunicorn's configuration returns the name itself.
        return None if callable(getattr(config, name)) else "TypeError: there is no such class in the module"
    except Exception as fault:  # noqa: BLE001 - the named class may raise anything, and this reports it
        cause = fault.__context__ or fault  # Gunicorn's text contains the whole traceback of a failed import
        return f"{type(cause).__name__}: {cause}"

"""Checks of the classes and files in Gunicorn's configuration, which Gunicorn opens only at its start.

They run in the process of ``flask_ops.cli.check.loading``, because they import these classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn import sock


def problems(config: Any) -> Iterator[str]:
    """Yield the reasons why Gunicorn would not start with its ``config``, or would answer no requests."""
    if config.workers < 1:
        yield "workers is 0"
    if config.preload_app:
        yield "preload_app is True, which the service refuses"
    for names, attempt in _ATTEMPTS.items():
        try:
            attempt(config)
        except Exception as fault:  # noqa: BLE001 - the named code may raise anything, and this reports it
            values = {name: config.settings[name].get() for name in names}
            shown = ", ".join(f"{name} is {value}" for name, value in values.items() if value is not None)
            cause = fault.__context__ or fault  # Gunicorn's text contains the whole traceback of a failed import
            yield f"{shown}: {type(cause).__name__}: {cause}"


def _load(name: str, config: Any) -> None:
    # For a module without such a class, Gunicorn's configuration returns the name itself.
    if not callable(getattr(config, name)):
        raise TypeError("there is no such class in the module")


def _load_certificate(config: Any) -> None:
    if config.is_ssl:
        sock.ssl_context(config)


def _make_pid_file(config: Any) -> None:
    folder = Path(config.pidfile or ".").absolute().parent
    if config.pidfile and not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"this user cannot write to {folder}")


_ATTEMPTS: dict[tuple[str, ...], Callable[[Any], object]] = {
    ("worker_class",): partial(_load, "worker_class"),
    ("logger_class",): partial(_load, "logger_class"),
    ("certfile", "keyfile", "ca_certs"): _load_certificate,
    ("pidfile",): _make_pid_file,
}
"""The checks, by the settings that each one reads."""

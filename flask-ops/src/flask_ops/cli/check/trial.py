"""The trial load of Gunicorn's configuration and the application, in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_ops.core import multiprocess
from flask_ops.core.address import Address

SECONDS = 30.0
"""Limit for the whole trial. Gunicorn allows a worker the same time to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GunicornValues:
    """Gunicorn's settings as they result from its file and from ``GUNICORN_CMD_ARGS``.

    ``connections`` is the maximum of open connections per worker. ``binds`` are the addresses that Gunicorn opens
    itself. ``problems`` are the reasons why it would not start, or would answer no requests. ``worker_class_fault``
    is the reason why the service cannot run with the worker class.
    """

    binds: tuple[Address, ...]
    workers: int
    threads: int
    connections: int
    graceful_seconds: float
    heartbeat_directory: str | None
    forwarded_allow_ips: tuple[str, ...]
    reload: bool
    problems: tuple[str, ...] = ()
    worker_class_fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of a trial.

    ``fault`` is the reason of a failure. ``loaded_bytes`` is the anonymous memory of a process that has imported the
    application and served no request. ``master_bytes`` is the anonymous memory of Gunicorn's master. The master does
    not import the application, and the workers share its pages. None means not measured, or no such master.
    """

    fault: str | None = None
    gunicorn: GunicornValues | None = None
    loaded_bytes: int | None = None
    master_bytes: int | None = None
    seconds: float = 0.0


def run(
    application: str, environ: Mapping[str, str], *, with_gunicorn: bool, configuration: str = "gunicorn.conf.py"
) -> Trial:
    """Load ``application``, ``module:name`` or ``module:factory()``, and Gunicorn's configuration.

    ``configuration`` is the file that Gunicorn reads unless another one is named. The trial opens no socket, starts no
    thread and creates no store.
    """
    # Applications may write metrics during their import, which must not reach a store in use.
    child = {name: value for name, value in environ.items() if name != multiprocess.VARIABLE}
    command = [
        sys.executable,
        "-m",
        "flask_ops.cli.check.loading",
        application,
        *([configuration] if with_gunicorn else []),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter and module
            command, env=child, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Trial(fault=f"not loaded within {SECONDS:g} seconds")
    found = _result(done.stdout)
    if done.returncode or found is None:
        reason = _last_line(done.stderr) if done.returncode else ""
        return Trial(fault=reason or f"it exits with {done.returncode} before all is loaded")
    values = found.pop("gunicorn")
    return Trial(gunicorn=None if values is None else _values(values), **found)


def _result(out: bytes) -> dict[str, Any] | None:
    """Read the JSON object of the last line; None if there is none. The start of Python may print other lines."""
    try:
        found = json.loads(out.rpartition(b"\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _values(found: dict[str, Any]) -> GunicornValues:
    addresses = found.pop("addresses")
    # A number is an inherited descriptor, which already listens.
    binds = [
        Address(unix=address) if isinstance(address, str) else Address(address[0] or "0.0.0.0", address[1])  # noqa: S104 - what an empty host means
        for address in addresses
        if not isinstance(address, int)
    ]
    allowed = tuple(found.pop("forwarded_allow_ips"))
    problems = tuple(found.pop("problems"))
    return GunicornValues(binds=tuple(binds), forwarded_allow_ips=allowed, problems=problems, **found)


def _last_line(text: bytes) -> str:
    """Return the last line, or only its event if it is a log line."""
    lines = text.decode(errors="backslashreplace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line

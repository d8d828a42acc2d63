"""See what comes out where Gunicorn's configuration and the application are loaded, in a process of their own."""

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
"""For all of it: Gunicorn gives a worker as long to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GunicornValues:
    """Gunicorn's settings as they result from its file and from ``GUNICORN_CMD_ARGS``.

    ``connections`` is how many a worker keeps open at one time. ``binds`` are the addresses it opens itself.
    ``problems`` say why it would not start with them, or would serve nobody.
    ``worker_class_fault`` says why the service cannot run with that class of workers.
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
    """What came out.

    ``fault`` says why it failed. ``loaded_bytes`` is the memory of a process that no file backs, with the application
    imported and no request served; ``master_bytes`` is that of Gunicorn's master, which does not import it and whose
    pages the workers share. None where that cannot be measured, or there is no such master.
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

    ``configuration`` is what Gunicorn takes if nothing names another one. No socket is opened, no thread started, no
    store made.
    """
    # Adopters make metrics where they import: those are not to be written into a store that is in use.
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
    """Read the object of the last line, before which Python's start may have written; None if there is none."""
    try:
        found = json.loads(out.rpartition(b"\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _values(found: dict[str, Any]) -> GunicornValues:
    addresses = found.pop("addresses")
    # A number is a descriptor, on which somebody else listens already.
    binds = [
        Address(unix=address) if isinstance(address, str) else Address(address[0] or "0.0.0.0", address[1])  # noqa: S104 - what an empty host means
        for address in addresses
        if not isinstance(address, int)
    ]
    allowed = tuple(found.pop("forwarded_allow_ips"))
    problems = tuple(found.pop("problems"))
    return GunicornValues(binds=tuple(binds), forwarded_allow_ips=allowed, problems=problems, **found)


def _last_line(text: bytes) -> str:
    """Return the last line; of one of the log, the event."""
    lines = text.decode(errors="backslashreplace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line

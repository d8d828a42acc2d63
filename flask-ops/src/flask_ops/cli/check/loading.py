"""The process of ``deployment.load``, which loads Gunicorn's configuration and the application.

It writes one JSON object to standard output, or fails with the reason in the last line of standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from flask_ops.cli.check import readiness
from flask_ops.core import greenlets
from flask_ops.core.loading import load_application
from flask_ops.ops.startup import PROCESS


def main(application: str, server: str, given: str, checks: str) -> None:
    """Load the application, and Gunicorn's configuration if it is the server. See ``deployment.load``."""
    result = os.dup(1)
    os.dup2(2, 1)  # keep printed text out of the result
    sys.path.insert(0, str(Path.cwd()))
    found: dict[str, Any] = {"limits": None, "findings": []}
    load: Callable[[str], Any] = load_application
    if server == "gunicorn":
        from gunicorn import util  # noqa: PLC0415 - not on Windows

        from flask_ops.cli.check import gunicorn_configuration  # noqa: PLC0415 - not on Windows

        load = util.import_app
        config = gunicorn_configuration.read([application] if given else [])
        found["limits"] = gunicorn_configuration.limits(config)
        if not given:
            application = config.wsgi_app or application
    try:
        if server == "gunicorn":
            found["findings"] += map(astuple, gunicorn_configuration.look(config))
            importlib.import_module("flask_ops.servers.gunicorn.arbiter")  # as on_starting, before any fork
            found["shared_bytes"] = _own_memory()
        app = load(application)
        loaded = _own_memory()
        shared = found.setdefault("shared_bytes", loaded)  # uWSGI forks after the import, and Waitress never
        found["worker_bytes"] = None if loaded is None or shared is None else max(0, loaded - shared)
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - an application may raise anything, and this reports it
        text, _, _ = str(fault).partition("\n")  # Gunicorn adds the traceback of a class that cannot be loaded
        found["fault"] = f"{type(fault).__name__}: {text}"
    if reason := greenlets.reason():
        found["fault"] = f"{reason}."
    if checks and "fault" not in found:
        assert app is not None  # noqa: S101 - it holds the checks
        runtime = PROCESS.runtime
        found["findings"] += map(astuple, readiness.look(runtime.health.checks() if runtime is not None else []))
    os.write(result, json.dumps(found).encode())


def _own_memory() -> int | None:
    """Return the anonymous memory of this process in bytes (proc_pid_status(5)); None if not on Linux."""
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(b"RssAnon:")[2].split(None, 1)[0]) * 1024
    except (OSError, IndexError):
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])

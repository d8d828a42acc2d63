"""The process that loads Gunicorn's configuration and the application for ``flask_ops.cli.check.trial``.

It writes one JSON object to standard output, or fails with the reason in the last line of standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_MASTER = "flask_ops.servers.gunicorn.arbiter"
"""The module that ``on_starting`` loads, before any worker is forked."""


def main(arguments: list[str]) -> None:
    """Load Gunicorn's configuration, if the second argument names one, then the application of the first argument."""
    result = os.dup(1)
    os.dup2(2, 1)  # keep printed text out of the result
    begin = time.monotonic()
    target, *configuration = arguments
    sys.path.insert(0, str(Path.cwd()))
    values = None
    if configuration:
        target, values = _read_gunicorn(target, configuration[0])
    found: dict[str, Any] = {"gunicorn": values, "fault": None, "master_bytes": None, "loaded_bytes": None}
    try:
        if configuration:
            importlib.import_module(_MASTER)
            found["master_bytes"] = _own_memory()
        importlib.import_module(target.partition(":")[0])
        found["loaded_bytes"] = _own_memory()
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - an application may raise anything, and this reports it
        found["fault"] = f"{type(fault).__name__}: {fault}"
    os.write(result, json.dumps({**found, "seconds": time.monotonic() - begin}).encode())


def _leave_nothing(**_: object) -> None:
    """Create no store."""


def _read_gunicorn(target: str, configuration: str) -> tuple[str, dict[str, Any]]:
    """Return the application and Gunicorn's settings."""
    from gunicorn.app.wsgiapp import WSGIApplication  # noqa: PLC0415 - not on Windows

    from flask_ops.cli.check import starting  # noqa: PLC0415 - not on Windows
    from flask_ops.ops import startup  # noqa: PLC0415 - it imports more than other servers need
    from flask_ops.servers.gunicorn.worker import connection_limit  # noqa: PLC0415 - not on Windows

    startup.open_store = _leave_nothing  # configure() calls it
    is_given = configuration.startswith("python:")  # by the command line, so the file need not name an application
    if is_given and not Path("gunicorn.conf.py").exists():
        os.environ["GUNICORN_CMD_ARGS"] = f"--config={configuration} {os.environ.get('GUNICORN_CMD_ARGS', '')}"
    sys.argv = ["gunicorn", *([target] if is_given else [])]
    config = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").cfg
    return target if is_given else str(config.wsgi_app or target), {
        "addresses": config.address,
        "workers": config.workers,
        "threads": config.threads,
        "worker_class_fault": _worker_class_fault(config),
        "connections": connection_limit(config),
        "graceful_seconds": config.graceful_timeout,
        "heartbeat_directory": config.worker_tmp_dir,
        "forwarded_allow_ips": config.forwarded_allow_ips,
        "reload": config.reload,
        "problems": [*starting.problems(config)],
    }


def _worker_class_fault(config: Any) -> str | None:
    from flask_ops.servers.gunicorn import worker_classes  # noqa: PLC0415 - not on Windows

    try:
        return worker_classes.fault(config)
    except Exception:  # noqa: BLE001 - a class that cannot be loaded is already among the problems
        return None


def _own_memory() -> int | None:
    """Return the anonymous memory of this process in bytes (proc_pid_status(5)); None if not on Linux."""
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(b"RssAnon:")[2].split(None, 1)[0]) * 1024
    except (OSError, IndexError):
        return None


if __name__ == "__main__":
    main(sys.argv[1:])

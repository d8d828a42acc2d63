"""The process of ``deployment.load``, which loads Gunicorn's configuration and the application.

It writes one JSON object to standard output, or fails with the reason in the last line of standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from flask_ops.cli.check import readiness
from flask_ops.cli.findings import Finding, error, warning
from flask_ops.core import greenlets
from flask_ops.core.address import Address
from flask_ops.core.loading import load_application
from flask_ops.health import Check

_MASTER = "flask_ops.servers.gunicorn.arbiter"
"""The module that ``on_starting`` loads, before any worker is forked."""


def main(application: str, server: str, given: str, checks: str) -> None:
    """Load the application, and Gunicorn's configuration if it is the server. See ``deployment.load``."""
    result = os.dup(1)
    os.dup2(2, 1)  # keep printed text out of the result
    begin = time.monotonic()
    sys.path.insert(0, str(Path.cwd()))
    found: dict[str, Any] = {"limits": None, "findings": []}
    if server == "gunicorn":
        config = _read_configuration([application] if given else [])
        found = {"limits": _limits(config), "findings": [astuple(finding) for finding in _findings(config)]}
        if not given:
            application = config.wsgi_app or application
    try:
        if server == "gunicorn":
            importlib.import_module(_MASTER)
            found["shared_bytes"] = _own_memory()
        app = _import_as_gunicorn(application) if server == "gunicorn" else load_application(application)
        loaded = _own_memory()
        shared = found.setdefault("shared_bytes", loaded)  # uWSGI forks after the import, and Waitress never
        found["worker_bytes"] = None if loaded is None or shared is None else max(0, loaded - shared)
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - an application may raise anything, and this reports it
        found["fault"] = f"{type(fault).__name__}: {fault}"
    if reason := greenlets.reason():
        found["fault"] = f"{reason}."
    found["seconds"] = time.monotonic() - begin
    if checks and "fault" not in found:
        assert app is not None  # noqa: S101 - it holds the checks
        found["findings"] += [astuple(finding) for finding in readiness.look(_checks())]
    os.write(result, json.dumps(found).encode())


def _import_as_gunicorn(application: str) -> Any:
    from gunicorn import util  # noqa: PLC0415 - not on Windows

    return util.import_app(application)


def _checks() -> list[Check]:
    from flask_ops.ops.startup import PROCESS  # noqa: PLC0415 - it imports more than the trial of other servers needs

    return PROCESS.runtime.checks() if PROCESS.runtime is not None else []


def _read_configuration(arguments: list[str]) -> Any:
    from gunicorn.app.wsgiapp import WSGIApplication  # noqa: PLC0415 - not on Windows

    from flask_ops.ops import startup  # noqa: PLC0415 - it imports more than other servers need

    def create_no_store(**_: object) -> None:
        pass

    startup.open_store = create_no_store  # configure() calls it
    if arguments and not Path("gunicorn.conf.py").exists():
        options = os.environ.get("GUNICORN_CMD_ARGS", "")
        os.environ["GUNICORN_CMD_ARGS"] = f"--config=python:flask_ops.gunicorn {options}"
    sys.argv = ["gunicorn", *arguments]
    return WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").cfg


def _limits(config: Any) -> dict[str, Any]:
    from flask_ops.servers.gunicorn.idle_connections import connection_limit  # noqa: PLC0415 - not on Windows

    # A number is an inherited descriptor, which already listens.
    binds = [
        Address(unix=address) if isinstance(address, str) else Address(address[0] or "0.0.0.0", address[1])  # noqa: S104 - what an empty host means
        for address in config.address
        if not isinstance(address, int)
    ]
    return {
        "binds": [asdict(bind) for bind in binds],
        "workers": config.workers,
        "threads": config.threads,
        "connections": connection_limit(config),
        "keep_alive_seconds": config.keepalive,
        "graceful_seconds": config.graceful_timeout,
    }


def _findings(config: Any) -> Iterator[Finding]:
    from flask_ops.servers.gunicorn import worker_classes  # noqa: PLC0415 - not on Windows

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
            'Set forwarded_allow_ips = "" in gunicorn.conf.py, and remove --forwarded-allow-ips.',
        )
    if config.worker_tmp_dir and not os.access(config.worker_tmp_dir, os.W_OK | os.X_OK):
        yield error(
            "heartbeat",
            f"No worker could start: this user cannot write to worker_tmp_dir, {config.worker_tmp_dir}.",
            "Mount a tmpfs there, or set worker_tmp_dir in gunicorn.conf.py.",
        )


def _problems(config: Any) -> Iterator[str]:
    """Yield the reasons why Gunicorn would not start, or would answer no requests. It opens these files only then."""
    from gunicorn import sock  # noqa: PLC0415 - not on Windows

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


def _own_memory() -> int | None:
    """Return the anonymous memory of this process in bytes (proc_pid_status(5)); None if not on Linux."""
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(b"RssAnon:")[2].split(None, 1)[0]) * 1024
    except (OSError, IndexError):
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])

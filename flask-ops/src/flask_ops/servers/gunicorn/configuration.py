"""Gunicorn's settings for the service, and the hook ``on_starting``. Without them, plain Gunicorn would run."""

from __future__ import annotations

import os
from typing import Any

from flask_ops import log
from flask_ops.core.first_steps import open_standard_streams
from flask_ops.core.settings import Settings
from flask_ops.ops import startup

_MEMORY = "/dev/shm"  # noqa: S108 - a file system in memory (Linux); Gunicorn uses mkstemp


def configure(settings: type[Settings] | None = None) -> dict[str, Any]:
    """Return Gunicorn's settings for ``globals().update(configure(Settings))`` in gunicorn.conf.py.

    Reads ``settings``, a class derived from ``flask_ops.Settings``, from the environment. Sets up the log and creates
    the metrics store. Assignments below the call override single values.

    Raises SystemExit after one line in the log: code 78 for invalid settings, 73 if the metrics store is not writable.
    """
    open_standard_streams()
    read = startup.PROCESS.settings if settings is None else None
    if read is None:
        read = startup.start(settings or Settings)
    log.take_printed_lines(read)
    startup.open_store(workers_change_user=True)  # before any metric exists
    from flask_ops.servers.gunicorn import new_connections, worker_classes  # noqa: PLC0415 - creates metrics, which need the store

    worker_classes.name()
    return {
        "bind": str(read.bind),
        "proc_name": read.name,
        # Threads, because views mostly wait. Several processes, because Python computes in one thread per process.
        "worker_class": worker_classes.THREADED,
        "workers": read.workers,
        "threads": read.threads,
        "worker_connections": new_connections.FITTING_CONNECTIONS,
        "keepalive": read.keep_alive_seconds,
        "graceful_timeout": max(1, round(read.graceful_seconds)),
        # The maximum time between heartbeats of a worker's main loop. It does not limit a request.
        "timeout": 30,
        # The heartbeat touches a file each second. On a disk, that can block.
        "worker_tmp_dir": _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None,
        # Gunicorn would use its compiled parser if that is installed. gunicorn_h1c 0.6.10 accepts two spaces in the
        # request line, and answers 400 instead of 501. Most heads need neither parser: see ``request``.
        "http_parser": "python",
        # A Unix socket gets the mode 0666: the proxy has another user. Its folder decides who reaches it.
        "umask": 0o111,
        # Two instances with the same home directory would replace each other's socket.
        "control_socket_disable": True,
        "loglevel": str(read.log_level),
        "logger_class": "flask_ops.servers.gunicorn.logger.GunicornLogger",
        "on_starting": on_starting,
    }


def on_starting(server: Any) -> None:
    """Turn Gunicorn's arbiter ``server`` into ours. If you define ``on_starting``, call this function in it."""
    from flask_ops.servers.gunicorn.arbiter import OpsArbiter  # noqa: PLC0415 - creates metrics, which need the store

    settings = startup.PROCESS.settings
    if settings is None:
        raise RuntimeError("on_starting of flask_ops was called without configure()")
    log.serve(settings)
    server.__class__ = OpsArbiter
    server.take_over(settings)

"""Gunicorn's configuration: the settings that the service needs, and the hook ``on_starting``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask_ops import log
from flask_ops.core import interruption, standard_descriptors
from flask_ops.core.settings import Settings
from flask_ops.ops import startup
from flask_ops.servers.gunicorn import connections


def configure(settings: type[Settings] | None = None) -> dict[str, Any]:
    """Return Gunicorn's settings for ``globals().update(configure(Settings))`` in gunicorn.conf.py.

    Reads ``settings``, a class derived from ``flask_ops.Settings``, from the environment; sets up the log; makes the
    metrics store. Assignments below the call change single values. Raises SystemExit, after one line in the log, with
    code 78 for invalid settings and 73 if the metrics store cannot be written.
    """
    standard_descriptors.open_closed()
    interruption.expect()
    read = startup.started() if settings is None else None
    if read is None:
        read = startup.start(settings or Settings)
    log.take_printed_lines(read)
    startup.open_store()  # before any metric is made
    from flask_ops.servers.gunicorn import worker_classes  # noqa: PLC0415 - makes metrics, so after the store

    worker_classes.name()
    memory = Path("/dev/shm")  # noqa: S108 - Linux's memory file system; Gunicorn makes the file safely
    return {
        "bind": str(read.bind),
        "proc_name": read.name,
        # Threads, because a view waits more than it computes; several processes, because Python computes in one.
        "worker_class": worker_classes.THREADED,
        "workers": read.workers,
        "threads": read.threads,
        "worker_connections": connections.FITTING,
        "graceful_timeout": max(1, round(read.graceful_seconds)),
        # A worker whose main loop gives no sign of life for so long is replaced. It does not bound a request.
        "timeout": 30,
        # The sign of life is a file that is touched each second. On a disk that can block.
        "worker_tmp_dir": str(memory) if memory.is_dir() else None,
        # Not the compiled parser, which Gunicorn takes if it is installed: gunicorn_h1c 0.6.9 passes a folded header
        # line, which RFC 9112 (5.2) forbids, on as a header without a name, and answers 400 instead of 501.
        "http_parser": "python",
        # Two instances under one home directory would take each other's socket away.
        "control_socket_disable": True,
        "loglevel": str(read.log_level),
        "logger_class": "flask_ops.servers.gunicorn.logger.GunicornLogger",
        "on_starting": on_starting,
    }


def on_starting(server: Any) -> None:
    """Turn Gunicorn's arbiter ``server`` into ours. Call it in your own ``on_starting`` if you have one."""
    from flask_ops.servers.gunicorn.arbiter import OpsArbiter  # noqa: PLC0415 - makes metrics, so after the store

    settings = startup.started()
    if settings is None:
        raise RuntimeError("on_starting of flask_ops was called without configure()")
    log.serve(settings)
    server.__class__ = OpsArbiter
    server.take_over(settings)

"""The check for unusable Gunicorn configurations, at the start and before a reload.

Without this module, checks and metrics would stop in the workers, or a reload would reset connections.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

import structlog
from gunicorn import sock
from gunicorn.pidfile import Pidfile
from gunicorn.workers.workertmp import WorkerTmp

from flask_ops.ops.startup import EX_CONFIG
from flask_ops.servers.gunicorn import worker_classes

_log = structlog.stdlib.get_logger(__name__)


def refuse(cfg: Any) -> None:
    """Log one line and raise SystemExit if the service cannot run with ``cfg``."""
    if cfg.preload_app:
        _refuse(
            "preload_app cannot be used",
            reason="the threads that run checks and publish metrics would not survive the fork of the workers",
            hint="leave it off: workers share what the master has loaded as it is",
        )
    if fault := worker_classes.fault(cfg):
        _refuse("worker_class cannot be used", reason=fault, hint=worker_classes.CURE)


def try_out(server: Any) -> None:
    """Try the configuration of ``server.app`` like a reload by the arbiter ``server``, but without the hooks.

    Raises the errors of a reload. If the reload would lose requests, logs one line and raises SystemExit.
    """
    old, new = server.cfg, server.app.cfg
    refuse(new)
    if new.address != old.address:
        _refuse(
            "bind cannot change with a reload",
            reason="what waits in the queue of the old listener would be reset",
            hint="SIGUSR2, or a restart",
        )
    WorkerTmp(new)  # the heartbeat file
    if new.is_ssl:
        sock.ssl_context(new)
    if new.pidfile:
        file = Pidfile(f"{new.pidfile}.trial")
        file.create(os.getpid())
        file.unlink()


def _refuse(event: str, **why: str) -> NoReturn:
    _log.critical(event, **why)
    raise SystemExit(EX_CONFIG)

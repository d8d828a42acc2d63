"""Which of Gunicorn's worker classes serve here: ours, threaded or not.

In any other one the stop would reset clients and not ask them to leave, and what is said of threads, stuck requests
and saturation would not be true.
"""

from __future__ import annotations

from typing import Any

from gunicorn.workers import SUPPORTED_WORKERS

from flask_ops.servers.gunicorn.sync_worker import ServiceSyncWorker
from flask_ops.servers.gunicorn.worker import ServiceWorker

THREADED = "flask_ops.servers.gunicorn.worker.ServiceWorker"
_SYNC = "flask_ops.servers.gunicorn.sync_worker.ServiceSyncWorker"
_REFUSED = "gunicorn.workers.base.Worker"
"""Serves nothing, and loads nothing: gevent would replace half of the standard library before it is refused."""

CURE = "--worker-class gthread, which is the default; or --worker-class sync --threads 1."


def name() -> None:
    """Let Gunicorn take our classes by the names ``gthread`` and ``sync``, and none of its own by another name."""
    classes: Any = SUPPORTED_WORKERS  # the stub knows its keys, which differ between versions
    classes.update(dict.fromkeys(classes, _REFUSED), gthread=THREADED, sync=_SYNC)


def fault(config: Any) -> str | None:
    """Return why the service cannot run with the worker class of Gunicorn's ``config``; None where it can."""
    if issubclass(config.worker_class, (ServiceWorker, ServiceSyncWorker)):
        return None
    wanted = config.settings["worker_class"].get()
    if wanted == "sync":
        return f"sync with {config.threads} threads is another class, which Gunicorn takes instead"
    return f"the service is not made for {getattr(wanted, '__name__', wanted)}"

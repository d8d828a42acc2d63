"""The only allowed worker class, our threaded one.

Without this module, any class could serve. A stop would then reset clients instead of closing their connections.
Reports about threads, stuck requests and saturation would be wrong.
"""

from __future__ import annotations

from typing import Any

from gunicorn.workers import SUPPORTED_WORKERS, gthread

from flask_ops.servers.gunicorn.worker import ServiceWorker

THREADED = "flask_ops.servers.gunicorn.worker.ServiceWorker"
_REFUSED = "gunicorn.workers.base.Worker"
"""A class that serves and loads nothing. gevent would patch half of the standard library before the refusal."""

CURE = "--worker-class gthread, which is the default."


def name() -> None:
    """Register our class as ``gthread`` and ``sync``, and disable the other names."""
    classes: Any = SUPPORTED_WORKERS  # the stub lists its keys, which differ between versions
    classes.update(dict.fromkeys(classes, _REFUSED), gthread=THREADED, sync=THREADED)
    gthread.ThreadWorker = ServiceWorker  # type: ignore[misc] # Gunicorn takes this class for sync with several threads


def fault(config: Any) -> str | None:
    """Return why the service cannot run with the worker class of Gunicorn's ``config``, None if it can."""
    loaded = config.worker_class  # the name itself if the module has no such class
    if isinstance(loaded, type) and issubclass(loaded, ServiceWorker):
        return None
    wanted = config.settings["worker_class"].get()
    return f"the service is not made for {getattr(wanted, '__name__', wanted)}"

"""The application as uWSGI serves it: forked workers that count together, and the management address."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from flask_ops import log
from flask_ops.core import multiprocess
from flask_ops.core.loading import load_application
from flask_ops.core.settings import Settings
from flask_ops.health.readiness import of_workers
from flask_ops.management.routes import Management
from flask_ops.metrics import store
from flask_ops.ops.startup import open_store, start

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from flask_ops.ops.runtime import Runtime


START_SECONDS = 60.0
"""How long a worker may take from its fork until it can hear that it is to stop; uWSGI's own patience at a reload."""


def load(application: str, settings: type[Settings] = Settings) -> WSGIApplication:
    """Load the application ``module:name`` or ``module:factory()`` for uWSGI, which is to serve what this returns.

    Raises SystemExit, after one line in the log, with code 78 for invalid settings and 73 if the metrics store cannot
    be written; RuntimeError in another program than uWSGI; what the import of the application raises.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")  # uWSGI itself makes this module
    except ImportError:
        raise RuntimeError("flask_ops.uwsgi works in uWSGI only") from None
    read = start(settings)
    log.take_printed_lines(read)
    # uWSGI loads the application before it forks; the store must be there before any metric is made.
    open_store(loader=_loader(uwsgi))
    app = load_application(application)
    from flask_ops.ops import runtime  # noqa: PLC0415 - makes metrics, so after the store

    process = runtime.obtain(read)
    process.run_under("uwsgi")
    # uWSGI's master runs no thread of Python's: what it logs is written at once.
    in_each_worker(uwsgi, partial(log.serve, read))
    observed = correct_environ(process.observe(app))
    in_each_worker(uwsgi, process.start)
    serve_management(uwsgi, read, process)
    hear_stop_missed_while_starting(uwsgi)
    return observed


def _loader(uwsgi: Any) -> int | None:
    """Return the pid of the process that forks the workers if each of them loads the application; else None.

    That is so with lazy-apps. Without a master, the first worker forks the others.
    """
    if uwsgi.worker_id() == 0:
        return None
    return int(uwsgi.masterpid()) or (os.getpid() if uwsgi.worker_id() == 1 else os.getppid())


def in_each_worker(uwsgi: Any, start: Callable[[], None]) -> None:
    """Call ``start`` in each worker: threads do not survive a fork."""
    if uwsgi.masterpid():
        # An adopter's @postfork functions: its first import, which needs a master, replaces what the hook was before.
        with suppress(ImportError):
            importlib.import_module("uwsgidecorators")
    earlier = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        store.settle(parent_serves=not uwsgi.masterpid())  # before anything writes a metric
        if earlier is not None:
            earlier()
        start()

    if uwsgi.worker_id() > 0:  # with lazy-apps, each worker loads the application itself
        hook()
        return

    uwsgi.post_fork_hook = hook


def hear_stop_missed_while_starting(uwsgi: Any) -> None:
    """End a worker that was told so before it could hear it.

    uWSGI's master tells its workers to finish by SIGHUP, and waits for them without end, in the handler of its SIGTERM.
    A worker ignores SIGHUP until it has its own handlers, and a signal that is ignored is lost.
    """
    if uwsgi.masterpid() and sys.platform == "linux":
        stop = partial(_stop_with, uwsgi.masterpid())
        in_each_worker(uwsgi, lambda: Thread(target=stop, name="missed stop", daemon=True).start())


def _stop_with(master: int) -> None:
    # uWSGI sets this handler last, and in no process but a worker: a mule has none.
    end = time.monotonic() + START_SECONDS
    while not _has("SigCgt", signal.SIGUSR2, os.getpid()):
        if time.monotonic() > end:
            return
        time.sleep(0.01)
    # While a handler runs, its own signal is blocked.
    if _has("SigBlk", signal.SIGTERM, master) and not _has("SigBlk", signal.SIGTERM, os.getpid()):
        os.kill(os.getpid(), signal.SIGHUP)


def _has(mask: str, number: signal.Signals, pid: int) -> bool:
    """Tell whether a signal is in one of the masks of proc_pid_status(5); a process that has ended has none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == mask:
            return bool(int(value, 16) >> number - 1 & 1)
    return False


def serve_management(uwsgi: Any, settings: Settings, process: Runtime) -> None:
    """Answer on the management address in a thread of uWSGI's first worker; its other threads may be busy."""
    if uwsgi.worker_id() > 1:
        return

    def fault() -> str | None:
        return None if any(worker["pid"] for worker in uwsgi.workers()) else "no worker is alive"

    readiness = partial(of_workers, multiprocess.directory())
    listener = Management(settings, fault, readiness, process.collect, server=process.server).listen()
    if listener is None:
        return

    def start() -> None:
        if uwsgi.worker_id() == 1:
            listener.start()
        else:
            listener.close_in_child()

    in_each_worker(uwsgi, start)


def correct_environ(app: WSGIApplication) -> WSGIApplication:
    """Undo that uWSGI takes the scheme from ``X-Forwarded-Proto``, which any client can send.

    Its ``wsgi.errors`` keeps what is not flushed, and writes past the log.
    """

    def corrected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = "https" if environ.get("HTTPS") in {"on", "1"} else "http"
        environ["wsgi.errors"] = sys.stderr
        return app(environ, start_response)

    return corrected

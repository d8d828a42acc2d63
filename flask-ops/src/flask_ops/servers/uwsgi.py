"""The integration with uWSGI: shared metrics of the workers, and the management address.

Without this module, each worker would count alone, and probes would get no answer.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
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
from flask_ops.metrics import sources
from flask_ops.metrics.store import STORE
from flask_ops.ops.startup import only_threads, open_store, start
from flask_ops.servers.uwsgi_stream import reset_incomplete
from flask_ops.web.request_body import CONNECTION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from flask_ops.ops.runtime import Runtime


START_SECONDS = 60.0
"""Time for a forked worker until it can receive a stop. uWSGI waits as long at a reload."""


def load(application: str, settings: type[Settings] = Settings) -> WSGIApplication:
    """Load ``module:name`` or ``module:factory()``. Return the application that uWSGI serves.

    Raises SystemExit after one line in the log: code 78 for invalid settings, 73 if the metrics store is not writable.
    Raises RuntimeError outside uWSGI, and any error from the import of the application.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")  # exists only inside uWSGI
    except ImportError:
        raise RuntimeError("flask_ops.uwsgi works in uWSGI only") from None
    read = start(settings)
    log.take_printed_lines(read)
    # uWSGI loads the application before it forks. The store must exist before any metric.
    open_store(loader=_loader(uwsgi))
    with only_threads():
        app = load_application(application)
    from flask_ops.ops.runtime import obtain  # noqa: PLC0415 - creates metrics, which need the store

    runtime = obtain(read)
    runtime.run_under("uwsgi")
    # uWSGI's master runs no Python threads, so it writes its lines at once. Only workers start the log thread.
    in_each_worker(uwsgi, partial(log.serve, read))
    observed = reset_incomplete(runtime.observe(app), uwsgi.connection_fd)
    corrected = correct_environ(observed, uwsgi.connection_fd)
    in_each_worker(uwsgi, partial(watch_listeners, uwsgi))
    in_each_worker(uwsgi, runtime.start)
    serve_management(uwsgi, read, runtime)
    hear_stop_missed_while_starting(uwsgi)
    return corrected


def _loader(uwsgi: Any) -> int | None:
    """Return the pid of the process that forks the workers if each worker loads the application (lazy-apps).

    Otherwise return None. Without a master, the first worker forks the others.
    """
    if uwsgi.worker_id() == 0:
        return None
    return int(uwsgi.masterpid()) or (os.getpid() if uwsgi.worker_id() == 1 else os.getppid())


def in_each_worker(uwsgi: Any, start: Callable[[], None]) -> None:
    """Call ``start`` in each worker: threads do not survive a fork."""
    if uwsgi.masterpid():
        # For the @postfork functions of an adopter. The first import of this module, which needs a master, overwrites
        # the hook.
        with suppress(ImportError):
            importlib.import_module("uwsgidecorators")
    earlier = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        STORE.settle()  # before anything writes a metric
        if earlier is not None:
            earlier()
        start()

    if uwsgi.worker_id() > 0:  # with lazy-apps, each worker loads the application itself
        hook()
        return

    uwsgi.post_fork_hook = hook


def watch_listeners(uwsgi: Any) -> None:
    """Measure the accept queues of uWSGI's sockets: only the kernel holds requests that wait for a thread of uWSGI."""
    # Python closes its descriptors at the exit, so take copies.
    sources.watch([socket.socket(fileno=os.dup(descriptor)) for descriptor in uwsgi.sockets])


def hear_stop_missed_while_starting(uwsgi: Any) -> None:
    """Stop a worker that lost its stop signal while starting.

    In its SIGTERM handler, uWSGI's master sends SIGHUP to its workers, and waits for them without limit. A worker
    ignores SIGHUP until it has its own handlers. An ignored signal is lost.
    """
    if not uwsgi.masterpid() or sys.platform != "linux":
        return

    def stop_if_missed() -> None:
        # uWSGI sets this handler last, and only in workers: a mule has none.
        end = time.monotonic() + START_SECONDS
        while not _has("SigCgt", signal.SIGUSR2, os.getpid()):
            if time.monotonic() > end:
                return
            time.sleep(0.01)
        # If the master blocks SIGTERM, its SIGTERM handler is running, unless all processes inherited this mask. Look
        # at the mask of this thread: the main thread blocks all signals for a moment whenever it starts a thread.
        is_inherited = signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if not is_inherited and _has("SigBlk", signal.SIGTERM, uwsgi.masterpid()):
            os.kill(os.getpid(), signal.SIGHUP)

    in_each_worker(uwsgi, lambda: Thread(target=stop_if_missed, name="missed stop", daemon=True).start())


def _has(mask: str, number: signal.Signals, pid: int) -> bool:
    """Tell whether a signal is in a mask of proc_pid_status(5). Return False for an ended process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(rf"^{mask}:\s*(\w+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> number - 1 & 1)


def serve_management(uwsgi: Any, settings: Settings, runtime: Runtime) -> None:
    """Answer on the management address in a thread of uWSGI's first worker. Its other threads may be busy."""
    if uwsgi.worker_id() > 1:
        return

    def fault() -> str | None:
        return None if any(worker["pid"] for worker in uwsgi.workers()) else "no worker is alive"

    readiness = partial(of_workers, multiprocess.directory())
    listener = Management(
        settings, fault, readiness, runtime.collect, runtime.metrics.counts, server=runtime.server
    ).listen()
    if listener is None:
        return

    def start() -> None:
        if uwsgi.worker_id() == 1:
            listener.start()
        else:
            listener.close_in_child()

    in_each_worker(uwsgi, start)


def correct_environ(app: WSGIApplication, connection: Callable[[], int]) -> WSGIApplication:
    """Correct the scheme and ``wsgi.errors`` of uWSGI's environ, and add the descriptor of a request with a body.

    uWSGI takes the scheme from ``X-Forwarded-Proto``, which any client can send. Its ``wsgi.errors`` holds back
    unflushed text, and bypasses the log.
    """

    def corrected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = "https" if environ.get("HTTPS") in {"on", "1"} else "http"
        environ["wsgi.errors"] = sys.stderr
        if environ.get("CONTENT_LENGTH"):
            environ[CONNECTION] = connection()
        return app(environ, start_response)

    return corrected

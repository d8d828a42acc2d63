"""The integration with uWSGI: shared metrics of the workers, and the management address.

Without this module, each worker would count alone, and probes would get no answer.
"""

from __future__ import annotations

import importlib
import io
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
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
from flask_ops.servers import uwsgi_missed_stop
from flask_ops.web.queue_time import CONNECTION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from flask_ops.ops.runtime import Runtime


_RESET, _FINISH = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


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
    in_each_worker(uwsgi, partial(watch_listeners, uwsgi))
    in_each_worker(uwsgi, runtime.start)
    serve_management(uwsgi, read, runtime)
    if uwsgi.masterpid() and sys.platform == "linux":
        in_each_worker(uwsgi, partial(uwsgi_missed_stop.hear, uwsgi.masterpid()))
    return correct(runtime.observe(app), uwsgi.connection_fd)


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


def correct(app: WSGIApplication, connection: Callable[[], int]) -> WSGIApplication:
    """Correct the scheme and ``wsgi.errors`` of uWSGI's environ, and reset the connection of an incomplete response.

    uWSGI takes the scheme from ``X-Forwarded-Proto``, which any client can send. Its ``wsgi.errors`` holds back
    unflushed text, and bypasses the log. It ends a response of unknown length by closing the connection. So a response
    that failed, or whose worker was killed, would look complete to the client.

    ``connection`` returns the descriptor of the current request's connection. A request with a body gets it too.
    """

    def corrected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = "https" if environ.get("HTTPS") in {"on", "1"} else "http"
        environ["wsgi.errors"] = sys.stderr
        if environ.get("CONTENT_LENGTH"):
            environ[CONNECTION] = connection()
        has_length = False

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal has_length
            has_length = any(len(name) == 14 and name.lower() == "content-length" for name, _ in headers)
            return start_response(status, headers, *exc_info)

        response = app(environ, start)
        if has_length or isinstance(response, io.IOBase):  # uWSGI sends a file itself
            return response
        return _ResetUnlessComplete(response, connection())

    return corrected


class _ResetUnlessComplete:
    """A socket that is closed with ``SO_LINGER`` of 0 seconds sends a reset (socket(7))."""

    def __init__(self, response: Iterable[bytes], connection: int) -> None:
        self._response, self._chunks, self._connection = response, iter(response), connection
        _at_close(connection, _RESET)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            _at_close(self._connection, _FINISH)
            raise

    def close(self) -> None:
        close = getattr(self._response, "close", None)
        if close is not None:
            close()


def _at_close(connection: int, linger: bytes) -> None:
    """Set what the kernel does when the connection is closed. Unix sockets cannot be reset."""
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=connection)
    with suppress(OSError):
        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    borrowed.detach()

"""Waitress with the management address and a graceful stop, in one process, on Windows too.

Without this module, probes would get no answer. ``waitress_run`` has the stop.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from waitress import adjustments, channel, server, task

from flask_ops import log
from flask_ops.core.address import Address
from flask_ops.core.draining import DRAIN
from flask_ops.core.port_holders import explained
from flask_ops.core.settings import Settings
from flask_ops.management.routes import Management
from flask_ops.metrics import sources
from flask_ops.ops.runtime import obtain
from flask_ops.ops.startup import PROCESS, open_store, refuse_greenlets, start
from flask_ops.servers.waitress_queue import Queue
from flask_ops.servers.waitress_run import GracefulRun
from flask_ops.web import queue_time

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_UNIX_MODE = {"unix_socket_perms": "666"}
"""As under Gunicorn: the proxy has another user. The folder of the socket decides who reaches it."""
_ADDRESSES = {"listen", "host", "port", "unix_socket", "sockets"}


def serve(app: WSGIApplication, settings: Settings | type[Settings] | None = None, **options: Any) -> None:
    """Serve ``app`` until a signal comes, then finish the requests in flight.

    ``settings`` is an instance, or a class to read from the environment. The default is the settings that the process
    has already read, otherwise ``flask_ops.Settings``. ``options`` are Waitress's own, such as ``connection_limit``.
    They override ``SERVICE_BIND``, ``SERVICE_THREADS`` and ``SERVICE_KEEP_ALIVE_SECONDS`` (``channel_timeout``).

    Raises OSError if the address cannot be bound, and ValueError for an invalid option. Invalid settings raise
    SystemExit with code 78.
    """
    if settings is None:
        settings = PROCESS.settings or Settings
    if isinstance(settings, type):
        settings = start(settings)
        open_store(if_chosen=True)
    bind: Address = settings.bind
    is_ours = not options.keys() & _ADDRESSES
    if is_ours:
        options |= {"unix_socket": bind.unix} if bind.unix else {"listen": str(bind)}
    # Only SERVICE_TRUSTED_PROXIES decides which proxies are trusted.
    adjustments.Adjustments.clear_untrusted_proxy_headers = False
    # Our lines already contain its address and its disconnected clients. Every burst logs "Task queue depth is 1".
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    refuse_greenlets()
    runtime = obtain(settings)
    runtime.run_under("waitress")
    queue = Queue(runtime.admission)
    defaults = {"threads": settings.threads, "channel_timeout": settings.keep_alive_seconds}
    try:
        created = server.create_server(runtime.observe(app), _dispatcher=queue, **{**defaults, **_UNIX_MODE, **options})
    except OSError as error:
        raise (explained(error, bind) if is_ours else error) from None
    log.serve(settings)
    queue.set_thread_count(created.adj.threads)
    runtime.start()
    run = GracefulRun(created, settings, runtime.observer.cut_off)
    for listener in run.listeners:
        listener.channel_class = _Channel
    sources.watch([listener.socket for listener in run.listeners])
    management = Management(
        settings, run.fault, runtime.readiness, runtime.collect, runtime.metrics.counts, server=runtime.server
    ).listen()
    if management is None:
        run()
        return
    management.start()
    try:
        run()
    finally:
        management.stop()


class _Task(task.WSGITask):  # type: ignore[misc] # Waitress ships no types
    def execute(self) -> None:
        try:
            super().execute()
        except Exception:
            raise
        except BaseException as error:
            # Waitress answers only after an Exception. After SystemExit, the client would wait for ever.
            raise RuntimeError(f"{type(error).__name__} was raised while a request was served") from error

    def get_environment(self) -> Any:
        environ = super().get_environment()
        environ[queue_time.CONNECTION] = self.channel.socket
        return environ

    def build_response_header(self) -> Any:
        with self.channel.requests_lock:  # Waitress holds it while it parses pipelined requests
            last = len(self.channel.requests) < 2 and self.channel.request is None
        if last and DRAIN:
            # This acts as if the client had asked to close. Otherwise the client could lose a request that it sends
            # while the connection closes.
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()


class _Channel(channel.HTTPChannel):  # type: ignore[misc] # Waitress ships no types
    task_class = _Task

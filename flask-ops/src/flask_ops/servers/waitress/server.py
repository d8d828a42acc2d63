"""Waitress with a graceful stop and the management address, in one process, on Windows too.

Without this module, a stop would lose requests, and probes would get no answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from waitress import adjustments, channel, server, task

from flask_ops import log
from flask_ops.core.address import Address
from flask_ops.core.draining import DRAIN
from flask_ops.core.settings import Settings
from flask_ops.management.routes import Management
from flask_ops.metrics import sources
from flask_ops.ops import runtime
from flask_ops.ops.runtime import Runtime
from flask_ops.ops.startup import PROCESS, open_store, start
from flask_ops.servers.waitress.stop import GracefulRun

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


_ADDRESSES = {"listen", "host", "port", "unix_socket", "sockets"}


def serve(app: WSGIApplication, settings: Settings | type[Settings] | None = None, **options: Any) -> None:
    """Serve ``app`` until a signal comes, then finish the requests in flight.

    ``settings`` is an instance, or a class to read from the environment. The default is the settings that the process
    has already read, otherwise ``flask_ops.Settings``. ``options`` are Waitress's own, such as ``connection_limit``.
    They override ``SERVICE_BIND`` and ``SERVICE_THREADS``.

    Raises OSError if the address cannot be bound, and ValueError for an invalid option. Invalid settings raise
    SystemExit with code 78.
    """
    if settings is None:
        settings = PROCESS.settings or Settings
    if isinstance(settings, type):
        settings = start(settings)
        open_store(if_chosen=True)
    bind: Address = settings.bind
    if not options.keys() & _ADDRESSES:
        options |= {"unix_socket": bind.unix} if bind.unix else {"listen": str(bind)}
    _correct_defaults()
    process = runtime.obtain(settings)
    process.run_under("waitress")
    created = server.create_server(process.observe(app), **{"threads": settings.threads, **options})
    _run(created, process, settings)


def _correct_defaults() -> None:
    # Only SERVICE_TRUSTED_PROXIES decides which proxies are trusted.
    adjustments.Adjustments.clear_untrusted_proxy_headers = False
    # Our lines already contain its address and its disconnected clients. Every burst logs "Task queue depth is 1".
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _run(created: Any, process: Runtime, settings: Settings) -> None:
    log.serve(settings)
    process.start()
    run = GracefulRun(
        created,
        drain_seconds=settings.drain_seconds,
        graceful_seconds=settings.graceful_seconds,
        cut_off=process.cut_off,
    )
    for listener in run.listeners:
        listener.channel_class = _Channel
    sources.watch([listener.socket for listener in run.listeners])
    management = Management(settings, run.fault, process.readiness, process.collect, server=process.server).listen()
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

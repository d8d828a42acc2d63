"""Waitress, which serves ``python -m service`` in production: on Windows too, in one process."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from waitress import adjustments, channel, server, task

from service import logs
from service.address import Address
from service.draining import DRAIN
from service.management.routes import Management
from service.monitoring import Monitoring
from service.telemetry import listening
from service.under_waitress.stop import GracefulRun

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings


def serve(app: Flask, settings: Settings) -> None:
    """Serve ``app`` until a signal ends it; what is in flight is finished first.

    Raises OSError where the address cannot be bound.
    """
    bind: Address = settings.bind
    target = {"unix_socket": bind.unix} if bind.unix else {"listen": str(bind)}
    _correct_defaults()
    _run(server.create_server(app, threads=settings.threads, **target), app, settings)


def serve_gracefully_under_waitress_serve(app: Flask, settings: Settings) -> None:
    """Have ``waitress-serve`` run as ``serve`` does, if it is what calls the factory of ``app``.

    It has neither an option nor a hook for that, so the method by which it runs is replaced.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") != "waitress.runner":
        frame = frame.f_back
    if frame is not None:
        _correct_defaults()
        server.BaseWSGIServer.run = server.MultiSocketServer.run = lambda created: _run(created, app, settings)


def _correct_defaults() -> None:
    # Which proxy is believed is said in one place, SERVICE_TRUSTED_PROXIES.
    adjustments.Adjustments.clear_untrusted_proxy_headers = False
    # Its notes on the address and on clients that left are in our lines; "Task queue depth is 1"
    # comes with every burst.
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _run(created: Any, app: Flask, settings: Settings) -> None:
    logs.serve(settings)
    monitoring = Monitoring.of(app)
    run = GracefulRun(
        created,
        drain_seconds=settings.drain_seconds,
        graceful_seconds=settings.graceful_seconds,
        cut_off=monitoring.cut_off,
    )
    for listener in run.listeners:
        listener.channel_class = _Channel
    listening.watch([listener.socket for listener in run.listeners])
    management = Management(settings, run.fault, monitoring.readiness, monitoring.sources).listen()
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
            # For an Exception Waitress answers; after SystemExit the client would wait for ever.
            raise RuntimeError(f"{type(error).__name__} was raised while a request was served") from error

    def build_response_header(self) -> Any:
        with self.channel.requests_lock:  # held while pipelined requests are being parsed
            last = len(self.channel.requests) < 2 and self.channel.request is None
        if last and DRAIN:
            # As if the client had asked for it: a client that keeps the connection would lose
            # the request that it sends just when the connection is closed.
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()


class _Channel(channel.HTTPChannel):  # type: ignore[misc] # Waitress ships no types
    task_class = _Task

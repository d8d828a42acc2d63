"""Gunicorn's threaded worker, with less work per request. Without it, each request would take longer."""

from __future__ import annotations

import contextlib
import selectors
import socket
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn import http, util
from gunicorn.http import wsgi
from gunicorn.workers import gthread

from flask_ops.servers.gunicorn import ready_connections
from flask_ops.servers.gunicorn.ready_connections import ReadyConnections
from flask_ops.servers.gunicorn.request import Environments, ServiceParser
from flask_ops.servers.gunicorn.response import ServiceResponse, http_date
from flask_ops.servers.gunicorn.serving_threads import ServingThreads


class DirectWorker(gthread.ThreadWorker):
    """A threaded worker whose threads wait for the requests of connections themselves.

    In Gunicorn, the main loop does it. That costs each request a byte through a pipe, a turn of the loop and
    the wake-up of a thread. Without epoll, the threads only return connections to the main loop's poller.
    """

    requests: ReadyConnections | None = None

    def init_process(self) -> None:
        """Serve until the worker stops."""
        # Gunicorn needs two function calls per setting, 20 times per request. Settings never change in a worker.
        settings = {name: setting.get() for name, setting in self.cfg.settings.items()}
        vars(self.cfg).update({name: settings[name] for name in settings if not hasattr(type(self.cfg), name)})
        install(self.cfg)
        try:
            super().init_process()
        finally:  # otherwise the interpreter would wait for threads that wait for requests
            self.tpool.shutdown(wait=False)

    def get_thread_pool(self) -> Any:
        """Return the serving threads."""
        if ready_connections.IS_POSSIBLE:
            self.requests = ReadyConnections()
        return ServingThreads(self.cfg.threads, self._serve, self.requests)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for the serving threads."""
        self.tpool.submit(conn)

    def enqueue_first(self, conn: Any) -> None:
        """Queue a connection for the serving threads, before all others."""
        threads: Any = self.tpool  # the stub has Gunicorn's own pool
        threads.submit_first(conn)

    def collect(self) -> None:
        """Queue all connections that have a request and no thread, so that they are in order, and count as busy."""
        for conn in self.requests.take_all() if self.requests else ():
            self.keepalived_conns.remove(conn)
            self.enqueue_req(conn)

    def _serve(self, conn: Any) -> None:
        try:
            answer = self.handle(conn)
            if answer is True and self._keep(conn):
                return
            served: Future[Any] = Future()  # finish_request expects it; kept connections need none
            served.set_result(answer)
        except BaseException as error:  # noqa: BLE001 - such as SystemExit: finish_request raises it in the main thread
            served = Future()
            served.set_exception(error)
        self.method_queue.defer(self.finish_request, conn, served)

    def _keep(self, conn: Any) -> bool:
        """Wait for the next request of a connection. Return False if the main loop must decide."""
        if conn.parser and conn.parser.unreader.buf.getvalue():
            return False  # the next request is here
        conn.set_timeout()
        return self._wait_for_request(conn)

    def _wait_for_request(self, conn: Any) -> bool:
        """Wait for the next request of a connection. Return False if that fails."""
        self.keepalived_conns.append(conn)
        try:
            if self.requests:
                self.requests.expect(conn)
                return True
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))
        except (OSError, ValueError, KeyError):
            self.keepalived_conns.remove(conn)
            return False
        return True

    def _take_back(self, conn: Any) -> bool:
        """Stop waiting for a request of a connection. Return False if a thread has taken it."""
        if self.requests:
            is_ours = self.requests.forget(conn)
        else:
            is_ours = True
            with contextlib.suppress(OSError, ValueError, KeyError):  # a thread has not yet registered it
                self.poller.unregister(conn.sock)
        if is_ours:
            self.keepalived_conns.remove(conn)
        return is_ours


class ClientSocket(socket.socket):
    """The socket of a client. It makes no system call to set the mode that it has.

    Gunicorn sets it twice in each request. Each call gives the GIL to another thread.
    """

    __slots__ = ()

    def setblocking(self, flag: bool) -> None:
        """Set whether calls wait."""
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        """Limit the time of calls, in seconds."""
        if self.gettimeout() != value:
            super().settimeout(value)


class Connection(gthread.TConn):
    """A client's connection."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket(sock.family, sock.type, sock.proto, sock.detach()), client, server)


def install(config: Any) -> None:
    """Replace Gunicorn's classes and functions in this worker. Gunicorn looks them up at each use."""
    gthread.TConn = Connection  # type: ignore[misc] # a class is replaced at run time
    http.RequestParser = ServiceParser  # type: ignore[misc] # as above
    wsgi.create = Environments(config).create
    wsgi.Response = ServiceResponse  # type: ignore[misc] # as above
    util.http_date = http_date

"""Gunicorn's threaded worker, with less work per request. Without it, each request would take longer."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn import http, util
from gunicorn.http import wsgi
from gunicorn.workers import gthread

from flask_ops.servers.gunicorn import ready_connections
from flask_ops.servers.gunicorn.lingering_clients import LingeringClients
from flask_ops.servers.gunicorn.ready_connections import ReadyConnections
from flask_ops.servers.gunicorn.request import Environments, ServiceParser
from flask_ops.servers.gunicorn.response import ServiceResponse, http_date
from flask_ops.servers.gunicorn.serving_threads import ServingThreads


class DirectWorker(gthread.ThreadWorker):
    """A threaded worker whose threads wait for the requests of connections themselves.

    In Gunicorn, the main loop does it. That costs each request a byte through a pipe, a turn of the loop and
    the wake-up of a thread. Here, only a connection that ends returns to the main loop.
    """

    keepalived_conns: Any
    requests: ReadyConnections
    lingering: LingeringClients

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
        self.requests = ready_connections.of_worker(self)
        return ServingThreads(self.cfg.threads, self._serve, self.requests)

    def run(self) -> None:
        """Serve in the main loop."""
        self.lingering = LingeringClients(self.poller)
        super().run()

    def _serve(self, conn: Any) -> None:
        error = None
        try:
            if self.handle(conn):
                if conn.parser and conn.parser.unreader.buf.getvalue():  # the next request is here
                    self.enqueue_req(conn)
                    return
                if self._keep(conn):
                    return
        except BaseException as raised:  # noqa: BLE001 - such as SystemExit, which must end the worker, not the thread
            error = raised
        self.method_queue.defer(self._finish, conn, error)

    def _finish(self, conn: Any, error: BaseException | None) -> None:
        """Close a connection, in the main loop."""
        self.nr_conns -= 1
        if error is None:
            self.lingering.add(conn.sock)
            return
        conn.close()
        if not isinstance(error, Exception):
            raise error

    def _keep(self, conn: Any) -> bool:
        conn.set_timeout()
        return self._wait_for_request(conn)

    def _wait_for_request(self, conn: Any) -> bool:
        """Wait for the next request of a connection. Return False if that fails."""
        self.keepalived_conns[conn] = None
        try:
            self.requests.expect(conn)
        except (OSError, ValueError, KeyError):
            self.keepalived_conns.remove(conn)
            return False
        return True

    def _take_back(self, conn: Any) -> bool:
        """Stop waiting for a request of a connection. Return False if a thread has taken it."""
        is_ours = self.requests.forget(conn)
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

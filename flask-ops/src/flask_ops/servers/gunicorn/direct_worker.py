"""Gunicorn's threaded worker, with less work per request. Without it, each request would take longer."""

from __future__ import annotations

import selectors
import time
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import ThreadWorker

from flask_ops.servers.gunicorn.serving_threads import ServingThreads

MAX_JOINED = 64 * 1024
"""Maximum size of a first chunk. To copy a larger one costs more than a system call."""

_date_of = lru_cache(maxsize=1)(util.http_date)


class DirectWorker(ThreadWorker):
    """A threaded worker whose threads return a connection to the poller themselves.

    In Gunicorn, the main loop does it. That costs each request a byte through a pipe, a turn of the loop and two
    thread switches. The kernel's poller (epoll, kqueue) accepts connections from any thread. So do the dictionary of
    Python's selector and the collection of kept-alive connections.
    """

    def init_process(self) -> None:
        """Serve until the worker stops."""
        install()
        # Gunicorn needs two function calls per setting, 20 times per request. Settings never change in a worker.
        settings = {name: setting.get() for name, setting in self.cfg.settings.items()}
        vars(self.cfg).update({name: settings[name] for name in settings if not hasattr(type(self.cfg), name)})
        try:
            super().init_process()
        finally:  # otherwise the interpreter would wait for threads that wait for requests
            self.tpool.shutdown(wait=False)

    def get_thread_pool(self) -> Any:
        """Return the serving threads."""
        return ServingThreads(self.cfg.threads, self._serve)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for the serving threads."""
        self.tpool.submit(conn)

    def enqueue_first(self, conn: Any) -> None:
        """Queue a connection for the serving threads, before all others."""
        threads: Any = self.tpool  # the stub has Gunicorn's own pool
        threads.submit_first(conn)

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
        """Return the connection to the poller. Return False if the main loop must decide."""
        if not self.alive or (conn.parser and conn.parser.unreader.buf.getvalue()):
            return False  # the worker stops, or the next request is here
        conn.set_timeout()
        return self._wait_for_request(conn)

    def _wait_for_request(self, conn: Any) -> bool:
        """Register a connection with the poller. Return False if that fails."""
        self.keepalived_conns.append(conn)
        try:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))
        except (OSError, ValueError, KeyError):
            self.keepalived_conns.remove(conn)
            return False
        return True

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Tell whether a connection can be used again. Make no system call if the request had no body."""
        body = conn.parser.mesg.body
        if keepalive and type(body.reader) is LengthReader and body.reader.length == 0 and not body.failed:
            return True
        return bool(super()._keepalive_after(conn, keepalive))  # type: ignore[misc] # the stub is older


class _Pieces(list[bytes]):
    """Replaces a socket and keeps the sent data."""

    sendall = list.append


class ServiceResponse(wsgi.Response):
    """Sends the head and the first chunk together. This halves the system calls and packets of most responses."""

    def write(self, data: Any) -> None:
        """Send ``data``, part of the body."""
        if self.headers_sent or len(data) > MAX_JOINED:
            super().write(data)
            return
        pieces = _Pieces()
        sock, self.sock = self.sock, pieces  # type: ignore[assignment] # write() uses nothing else of a socket
        try:
            super().write(data)
        finally:
            self.sock = sock
            sock.sendall(b"".join(pieces))


class ServiceRequest(Request):
    """Does not parse the peer's address if Gunicorn trusts no proxy."""

    def _peer_is_trusted_proxy(self) -> bool:
        return bool(self.cfg.forwarded_allow_ips) and super()._peer_is_trusted_proxy()  # type: ignore[misc] # the stub is older


def http_date(timestamp: float | None = None) -> str:
    """Return a time, by default now, as a ``Date`` header in whole seconds (RFC 9110, 5.6.7)."""
    return _date_of(int(time.time()) if timestamp is None else timestamp)


def install() -> None:
    """Replace Gunicorn's classes and its ``http_date`` in this process. Gunicorn looks them up at each use."""
    wsgi.Response = ServiceResponse  # type: ignore[misc]  # this replaces a class at run time
    RequestParser.mesg_class = ServiceRequest
    util.http_date = http_date

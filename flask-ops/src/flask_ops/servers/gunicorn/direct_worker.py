"""Gunicorn's threaded worker, with less work per request. Without it, each request would take longer."""

from __future__ import annotations

import selectors
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import ThreadWorker

from flask_ops.servers.gunicorn import http
from flask_ops.servers.gunicorn.serving_threads import ServingThreads


class DirectWorker(ThreadWorker):
    """A threaded worker whose threads return a connection to the poller themselves.

    In Gunicorn, the main loop does it. That costs each request a byte through a pipe, a turn of the loop and two
    thread switches. The kernel's poller (epoll, kqueue) accepts connections from any thread. So do the dictionary of
    Python's selector and the deque of kept-alive connections.
    """

    def init_process(self) -> None:
        """Serve until the worker stops."""
        http.install()
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
        if not self.alive or conn.parser.unreader.buf.getvalue():  # the worker stops, or the next request is here
            return False
        conn.set_timeout()
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

    def _cap_keepalive(self, deadline: float) -> None:
        """Limit how long connections are kept. Threads may add connections meanwhile."""
        for conn in tuple(self.keepalived_conns):
            conn.timeout = min(conn.timeout, deadline)  # type: ignore[type-var] # never None here

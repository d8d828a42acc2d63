"""Gunicorn's threaded worker, with less between a request and the thread that serves it."""

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
    """A threaded worker whose threads hand a connection back to the poller themselves.

    Gunicorn has the main loop do so: a byte through a pipe, another turn of the loop and two changes between
    threads for each request. The kernel's poller (epoll, kqueue) takes connections from any thread, and so do the
    dictionary of Python's selector and the deque of those that are kept alive.
    """

    def init_process(self) -> None:
        """Serve, until the process is to end."""
        http.install()
        # Gunicorn looks a setting up by two function calls, 20 times a request. None changes in a worker.
        settings = {name: setting.get() for name, setting in self.cfg.settings.items()}
        vars(self.cfg).update({name: settings[name] for name in settings if not hasattr(type(self.cfg), name)})
        try:
            super().init_process()
        finally:  # whichever way it ends, else the interpreter would wait for threads that wait for requests
            self.tpool.shutdown(wait=False)

    def get_thread_pool(self) -> Any:
        """Return the threads that serve."""
        return ServingThreads(self.cfg.threads, self._serve)

    def enqueue_req(self, conn: Any) -> None:
        """Have the next request of a connection served."""
        self.tpool.submit(conn)

    def _serve(self, conn: Any) -> None:
        try:
            answer = self.handle(conn)
            if answer is True and self._keep(conn):
                return
            served: Future[Any] = Future()  # as finish_request wants it; not made for a request whose connection stays
            served.set_result(answer)
        except BaseException as error:  # noqa: BLE001 - SystemExit, say; finish_request raises it in the main thread
            served = Future()
            served.set_exception(error)
        self.method_queue.defer(self.finish_request, conn, served)

    def _keep(self, conn: Any) -> bool:
        """Wait for the next request in the poller; return False where that is for the main loop to decide."""
        if not self.alive or conn.parser.unreader.buf.getvalue():  # to be closed soon, or the request is there
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
        """Tell whether a connection can be used again, at no system call where the request had no body."""
        body = conn.parser.mesg.body
        if keepalive and type(body.reader) is LengthReader and body.reader.length == 0 and not body.failed:
            return True
        return bool(super()._keepalive_after(conn, keepalive))  # type: ignore[misc] # the stub is older

    def _cap_keepalive(self, deadline: float) -> None:
        """Bound how long connections are kept; threads may add to them meanwhile."""
        for conn in tuple(self.keepalived_conns):
            conn.timeout = min(conn.timeout, deadline)  # type: ignore[type-var] # never None here

"""Gunicorn's threaded worker, with faults mended that cost requests or time."""

from __future__ import annotations

import selectors
import socket
import time
from functools import partial
from typing import Any

from flask_ops.core.draining import DRAIN
from flask_ops.servers.gunicorn import connections
from flask_ops.servers.gunicorn.base_worker import BaseWorker
from flask_ops.servers.gunicorn.direct_worker import DirectWorker

LINGER_SECONDS = 2.0
"""How long a client may take to close its connection after the last response; Gunicorn's own bound."""
LAST_LINGER_SECONDS = 0.5
"""How long all of them together may take once the worker has nothing else to do."""
LINGERING = 256
"""How many such clients are waited for at one time, beyond which the oldest one is let go."""
_RECEIVE_BYTES = 64 * 1024


class ServiceWorker(BaseWorker, DirectWorker):
    """A threaded worker that waits for no client to close, loses no connection at a stop, and always ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = connections.limit(self.cfg)
        self.max_keepalived = self.worker_connections - self.cfg.threads
        self._lingering: dict[socket.socket, float] = {}  # until when, the oldest first

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Warn of fewer connections than threads, which only an explicit ``worker_connections`` can bring about."""
        if cfg.worker_connections != connections.FITTING:
            super().check_config(cfg, log)

    def load_wsgi(self) -> None:
        """Load the application; while the service drains, each response asks its client to close."""
        super().load_wsgi()
        application = self.wsgi

        def serve(environ: Any, start_response: Any) -> Any:
            if DRAIN:
                start_response.__self__.force_close()  # it is a method of Gunicorn's Response
            return application(environ, start_response)

        self.wsgi = serve

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Begin or cease to accept connections.

        At the end of the server, closing its socket would reset the connections that wait in the
        kernel's queue: they are accepted first. The socket is closed at once then, for whoever
        connects later is better refused than kept waiting.
        """
        if self.alive or not DRAIN.is_final:
            super().set_accept_enabled(enabled)
            return
        if enabled:  # the signal came just before
            return
        for listener in self.sockets:
            self._accept_waiting(listener)
        super().set_accept_enabled(enabled)
        for listener in self.sockets:
            listener.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back from the thread that served a request on it.

        Where it is to be closed, Gunicorn waits here, in the loop that serves all, up to two seconds for
        the client to close its side: 12 clients that did not got a worker killed.
        """
        if fs.cancelled() or fs.exception() is not None or fs.result() is not False:
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn.sock))
        except (OSError, ValueError):  # the client has gone
            conn.close()
            return
        self._lingering[conn.sock] = time.monotonic() + LINGER_SECONDS
        self._discard(conn.sock)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close the connections whose time is over: in each turn of the loop, and, with ``force``, at its end."""
        super().murder_keepalived(force)  # type: ignore[call-arg] # the stub is older than Gunicorn 27
        end = time.monotonic() + LAST_LINGER_SECONDS
        while force and self._lingering and time.monotonic() < end:
            self.wait_for_and_dispatch_events(0.05)
        now = time.monotonic()
        for client, until in list(self._lingering.items()):
            if until > now and len(self._lingering) <= LINGERING and not force:
                return
            self._close(client)

    def _accept_waiting(self, listener: Any) -> None:
        listener.setblocking(False)
        for _ in range(self.cfg.backlog + 1):
            before = self.nr_conns
            self.accept(listener)
            if self.nr_conns == before:
                return

    def _discard(self, client: socket.socket, _fileobj: object = None) -> None:
        """Read what the client still sends, lest the kernel resets the connection and with it the response."""
        try:
            if client.recv(_RECEIVE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(client)

    def _close(self, client: socket.socket) -> None:
        del self._lingering[client]
        self.poller.unregister(client)
        client.close()

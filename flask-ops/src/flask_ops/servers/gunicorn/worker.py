"""Gunicorn's threaded worker with fixes. Without them, stops lose requests and slow clients block the worker."""

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
"""Time for a client to close its connection after the last response. Gunicorn uses the same limit."""
LAST_LINGER_SECONDS = 0.5
"""Time for all lingering clients together when the worker has nothing else to do."""
LINGERING = 256
"""Maximum number of lingering clients. Beyond it, the worker closes the oldest connection."""
_RECEIVE_BYTES = 64 * 1024


class ServiceWorker(BaseWorker, DirectWorker):
    """A threaded worker that never blocks on a closing client, loses no connection at a stop, and always ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = connections.limit(self.cfg)
        self.max_keepalived = self.worker_connections - self.cfg.threads
        self._lingering: dict[socket.socket, float] = {}  # deadlines, the oldest first

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Warn about fewer connections than threads. Only an explicit ``worker_connections`` can cause this."""
        if cfg.worker_connections != connections.FITTING:
            super().check_config(cfg, log)

    def load_wsgi(self) -> None:
        """Load the application. During a drain, each response asks its client to close the connection."""
        super().load_wsgi()
        application = self.wsgi

        def serve(environ: Any, start_response: Any) -> Any:
            if DRAIN:
                start_response.__self__.force_close()  # start_response is a method of Gunicorn's Response
            return application(environ, start_response)

        self.wsgi = serve

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Start or stop accepting connections.

        To close the socket at the end of the server would reset the connections in the backlog. Accept them first, then
        close at once: a later client is better refused than kept waiting.
        """
        if self.alive or not DRAIN.is_final:
            super().set_accept_enabled(enabled)
            return
        if enabled:  # SIGTERM came just before this call
            return
        for listener in self.sockets:
            self._accept_waiting(listener)
        super().set_accept_enabled(enabled)
        for listener in self.sockets:
            listener.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back from its serving thread.

        Before Gunicorn closes a connection, its main loop waits here, up to two seconds, for the client to close. With
        12 clients that did not close, Gunicorn killed the worker.
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
        """Close expired connections, in each turn of the main loop. With ``force``, at its end, close all."""
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
        """Read and drop data from the client. Otherwise the kernel resets the connection, and the response is lost."""
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

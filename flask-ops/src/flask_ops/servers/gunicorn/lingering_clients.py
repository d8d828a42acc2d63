"""Clients that got their last response and have not closed their connection yet. The main loop waits for them.

Gunicorn itself waits in its main loop for each of them, up to two seconds. With 12 clients that did not close, the
master killed the worker. To close at once would lose the response of a client that still sends: the kernel resets it.
"""

from __future__ import annotations

import selectors
import socket
import time

LINGER_SECONDS = 2.0
"""Time for a client to close its connection after the last response. Gunicorn uses the same limit."""
MAX_LINGERING = 256
"""Maximum number of lingering clients. Beyond it, the worker closes the oldest connection."""
_RECEIVE_BYTES = 64 * 1024


class LingeringClients:
    """Waits with ``poller``, whose callbacks get the socket. True while a client lingers."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._deadlines: dict[socket.socket, float] = {}  # the oldest first

    def __bool__(self) -> bool:
        return bool(self._deadlines)

    def add(self, client: socket.socket) -> None:
        """Tell a client that nothing more comes, and wait until it closes the connection."""
        try:
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            self._poller.register(client, selectors.EVENT_READ, self._discard)
        except (OSError, ValueError):  # the client has gone
            client.close()
            return
        self._deadlines[client] = time.monotonic() + LINGER_SECONDS
        self._discard(client)

    def close_expired(self, *, force: bool) -> None:
        """Close the connections whose time is up. With ``force``, close all."""
        now = time.monotonic()
        for client, until in list(self._deadlines.items()):
            if until > now and len(self._deadlines) <= MAX_LINGERING and not force:
                return
            self._close(client)

    def _discard(self, client: socket.socket) -> None:
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
        del self._deadlines[client]
        self._poller.unregister(client)
        client.close()

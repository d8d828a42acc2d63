"""One connection of the management listener: its socket, its deadlines and its unsent bytes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Collection

from flask_ops.core.http import Handler
from flask_ops.management.conversation import Conversation

REQUEST_SECONDS = 5.0
"""Limit for a whole request, from its first byte. The first request counts from the connection."""
IDLE_SECONDS = 75.0
"""Limit for a client to begin its next request."""
SEND_SECONDS = 5.0
"""Limit for a client to read anything of its response."""
LINGER_SECONDS = 2.0
"""Limit for a client to close after the last response. If the client is still sending, an immediate close would reset
the connection and lose the response."""
_RECEIVE_BYTES = 64 * 1024


class Peer:
    """The link between a non-blocking socket and a conversation."""

    def __init__(self, connection: socket.socket, handler: Handler, slow_paths: Collection[str] = ()) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # a Unix socket has no such option
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.active = time.monotonic()
        """The time of the last bytes that were sent or received."""
        self.deadline = self.active + REQUEST_SECONDS
        self._conversation = Conversation(handler, slow_paths)
        self._unsent = memoryview(b"")
        self._receiving = True  # connecting counts as the beginning of a request
        self._lingers = False

    @property
    def events(self) -> int:
        """The events to wait for."""
        return selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ

    @property
    def waits(self) -> bool:
        """True if the next request is slow. ``proceed`` answers it, and ``turn`` does not."""
        return self._conversation.waits

    @property
    def expects_answer(self) -> bool:
        """True if a request has begun, or an answer is not sent yet. To connect is to begin the first request."""
        return self._receiving or bool(self._unsent) or self.waits

    def turn(self) -> bool:
        """Take the step that ``events`` allow; see ``proceed``. It postpones a slow request."""
        if self.waits:
            if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise EOFError  # the client has gone and needs no answer
            return False
        if not self._unsent:
            data = self.socket.recv(_RECEIVE_BYTES)
            self.active = time.monotonic()
            if self._lingers:
                if not data:
                    raise EOFError
                return False
            self._conversation.receive(data)
        return self.proceed(slow=False)

    def proceed(self, *, slow: bool = True) -> bool:
        """Send the unsent bytes, or answer the next request. Return True if another request may have arrived.

        Raises EOFError or OSError at the end of the connection.
        """
        return self._send(b"" if self._unsent else self._conversation.advance(slow=slow))

    def expire(self) -> bool:
        """Take the step that is due at the deadline; see ``proceed``."""
        if self.waits:  # the client waits for us
            self.deadline = time.monotonic() + REQUEST_SECONDS
            return False
        if self._unsent or self._lingers or not self._conversation.has_begun:
            raise EOFError
        return self._send(self._conversation.refuse(408))

    def _send(self, more: bytes) -> bool:
        if more:
            self._unsent = memoryview(more)
        sent = 0
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                sent = self.socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        now = time.monotonic()
        if sent:
            self.active = now
        if self._unsent:
            if sent or more:
                self.deadline = now + SEND_SECONDS
            return False
        if self._conversation.is_over:
            self.socket.shutdown(socket.SHUT_WR)
            self._lingers = True
            self.deadline = now + LINGER_SECONDS
            return False
        receiving = self._conversation.has_begun
        if sent or receiving != self._receiving:
            self.deadline = now + (REQUEST_SECONDS if receiving else IDLE_SECONDS)
        self._receiving = receiving
        return bool(sent) and receiving

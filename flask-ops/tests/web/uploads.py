"""Requests with bodies, sent byte by byte as the test wants them."""

from __future__ import annotations

import contextlib
import socket
import struct
import uuid
from pathlib import Path
from typing import Any

from tests.process import Server


class Sent:
    """A request whose bytes the test chose, the status of its answer (0: none) and its log line.

    The file ``sent`` is created when all is sent. With ``reset``, the client resets its connection before that.
    """

    def __init__(
        self,
        server: Server,
        path: str,
        framing: bytes,
        body: bytes,
        content_type: str = "text/plain",
        sent: Path | None = None,
        *,
        reset: bool = False,
    ) -> None:
        request_id = str(uuid.uuid4())
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nX-Request-ID: {request_id}\r\nContent-Type: {content_type}\r\n"
        received = b""
        self._server, self._request_id = server, request_id
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(head.encode() + framing + b"\r\n\r\n" + body)
            if reset:
                server.line("slow view", request_id=request_id)  # the view waits for the file
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            else:
                client.shutdown(socket.SHUT_WR)  # the client has left, but the answer can still be read
            if sent is not None:
                sent.touch()
            with contextlib.suppress(OSError):
                while piece := client.recv(65536):
                    received += piece
        self.status = int(received.split(b" ")[1]) if received else 0
        self.body = received.partition(b"\r\n\r\n")[2]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return self._server.lines("request", request_id=self._request_id)

    def line(self) -> dict[str, Any]:
        return self._server.line("request", request_id=self._request_id)


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

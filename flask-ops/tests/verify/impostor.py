"""A small HTTP server in a thread that answers as the service does, except for a test's changes."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Change = Callable[["Reply"], None]


@dataclass
class Reply:
    """A response before it is sent, and the headers of the request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    body: bytes = b"{}"
    request: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    """The number of bytes that are promised but not sent."""

    def problem(self, status: int, **headers: str) -> None:
        """Turn it into an error response of the service."""
        self.status = status
        self.headers |= {"Content-Type": "application/problem+json", **headers}
        told = {"type": "about:blank", "title": "x", "status": status, "request_id": self.headers["X-Request-ID"]}
        self.body = json.dumps(told).encode()


@dataclass
class Impostor:
    """The server's address, its requests, and its changes by path; ``*`` is for any 404."""

    changes: dict[str, Change]
    port: int = 0
    asked: list[str] = field(default_factory=list)
    counted: int = 0
    times: float = 1.0
    """The number of requests that each request counts for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, path: str, request: Mapping[str, str]) -> Reply:
        """Return the answer to one request."""
        reply = Reply(request=request)
        reply.headers |= {"X-Request-ID": request.get("X-Request-ID", uuid.uuid4().hex), "Server": "impostor"}
        bare = path.partition("?")[0]
        if bare in {"/healthz", "/readyz"}:
            reply.headers["Cache-Control"] = "no-store"
            reply.body = b'{"status":"ok"}'
            self.counted += bare == "/healthz"
        elif bare == "/metrics":
            reply.headers["Content-Type"] = "text/plain; version=0.0.4"
            labels = 'method="GET",route="/healthz",status="200"'
            reply.body = (
                f"flask_http_request_total{{{labels}}} {self.counted * self.times}\n"
                "process_start_time_seconds 1.0\n"
                'service_build_info{server="impostor",mode="production"} 1\n'
            ).encode()
        elif bare != "/":
            reply.problem(404)
        change = self.changes.get(bare, self.changes.get("*") if reply.status == 404 else None)
        if change is not None:
            change(reply)
        return reply


@contextlib.contextmanager
def impostor(changes: Mapping[str, Change] | None = None, context: ssl.SSLContext | None = None) -> Iterator[Impostor]:
    """Serve until the block ends."""
    found = Impostor(dict(changes or {}))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            reply = found.reply(self.path, self.headers)  # type: ignore[arg-type] # a mapping in all that is used
            self.send_response_only(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body) + reply.missing)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that does not trust the certificate disconnects."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()

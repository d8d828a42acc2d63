"""A webhook for Alertmanager that records which alerts arrived, and when."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def title(labels: dict[str, str]) -> str:
    """Return the name of an alert, followed by its objective or check in braces."""
    about = labels.get("slo") or labels.get("check")
    return labels["alertname"] + (f"{{{about}}}" if about else "")


class Webhook:
    """A receiver for Alertmanager on loopback."""

    def __init__(self) -> None:
        self._arrived: dict[str, float] = {}
        self._resolved: set[str] = set()
        self._changing = threading.Lock()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook._take(body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.1], daemon=True).start()

    def arrived(self) -> dict[str, float]:
        """Return the title of each alert that arrived, with the monotonic time of its first arrival."""
        with self._changing:
            return dict(self._arrived)

    def resolved(self) -> set[str]:
        """Return the titles of alerts that arrived and are resolved."""
        with self._changing:
            return set(self._resolved)

    def forget(self) -> None:
        """Forget all alerts."""
        with self._changing:
            self._arrived.clear()
            self._resolved.clear()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, alerts: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._changing:
            for alert in alerts:
                name = title(alert["labels"])
                if alert["status"] == "firing":
                    self._arrived.setdefault(name, now)
                    self._resolved.discard(name)
                else:
                    self._resolved.add(name)

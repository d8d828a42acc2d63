"""A webhook for Alertmanager that records which alerts of which service arrived, when and at which receiver."""

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
    """All receivers of Alertmanager on loopback. The path of a request is the name of the receiver.

    An alert without a job, for example the watchdog, has the job "".
    """

    def __init__(self) -> None:
        self._arrived: dict[tuple[str, str], float] = {}
        self._receivers: dict[tuple[str, str], set[str]] = {}
        self._resolved: set[tuple[str, str]] = set()
        self._changing = threading.Lock()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook._take(self.path.removeprefix("/"), body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.1], daemon=True).start()

    def arrived(self, job: str = "") -> dict[str, float]:
        """Return the title of each alert of a job that arrived, with the monotonic time of its first arrival."""
        with self._changing:
            return {name: at for (of, name), at in self._arrived.items() if of == job}

    def receivers(self, job: str = "") -> dict[str, set[str]]:
        """Return the receivers of each alert of a job that arrived, by title."""
        with self._changing:
            return {name: set(names) for (of, name), names in self._receivers.items() if of == job}

    def resolved(self, job: str = "") -> set[str]:
        """Return the titles of alerts of a job that arrived and are resolved."""
        with self._changing:
            return {name for of, name in self._resolved if of == job}

    def forget(self) -> None:
        """Forget all alerts."""
        with self._changing:
            self._arrived.clear()
            self._receivers.clear()
            self._resolved.clear()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, receiver: str, alerts: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._changing:
            for alert in alerts:
                name = alert["labels"].get("job", ""), title(alert["labels"])
                self._receivers.setdefault(name, set()).add(receiver)
                if alert["status"] == "firing":
                    self._arrived.setdefault(name, now)
                    self._resolved.discard(name)
                else:
                    self._resolved.add(name)

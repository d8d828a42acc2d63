"""Traffic for the service: requests of users, and requests of a fault."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from typing import Self

from observability.programs import wait


def ask(port: int, method: str, path: str, timeout: float = 60.0) -> int:
    """Send one request on a new connection and return the status, or 0 without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


class Load:
    """Clients that send requests while the ``with`` block runs.

    Each of the ``clients`` calls ``request`` with an increasing number, and waits ``pause`` seconds between two calls.
    """

    def __init__(self, request: Callable[[int], object], *, clients: int = 1, pause: float = 0.1) -> None:
        self._request = request
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clients. A client that waits for a response stops after it arrives."""
        self._over.set()

    def _run(self) -> None:
        number = 0
        while not self._over.wait(self._pause):
            with contextlib.suppress(OSError):
                self._request(number)
            number += 1


def users(port: int) -> Load:
    """Return the traffic of a healthy service: 20 requests per second, some of them for missing pages."""
    paths = ("/", "/", "/", "/nothing-here")
    return Load(lambda number: ask(port, "GET", paths[number % len(paths)]), clients=2)


def warm_up(port: int, seconds: float) -> None:
    """Send requests for this time, so that rates have data at the start."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ask(port, "GET", "/")
        wait(0.05)

"""Traffic for the service: what users ask, and what a fault asks beside them."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from typing import Self

from observability.programs import wait


def ask(port: int, method: str, path: str, timeout: float = 60.0) -> int:
    """Send one request on a connection of its own and return the status; 0 where there was no answer."""
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
    """Clients that ask again and again while the ``with`` block runs.

    Each of ``clients`` calls ``request`` with a number that grows, and waits ``pause`` seconds in between.
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
        """Have the clients stop; one that waits for an answer does so when that has come."""
        self._over.set()

    def _run(self) -> None:
        number = 0
        while not self._over.wait(self._pause):
            with contextlib.suppress(OSError):
                self._request(number)
            number += 1


def users(port: int) -> Load:
    """Return the traffic that a healthy service has: 20 requests a second, some for what is not there."""
    paths = ("/", "/", "/", "/nothing-here")
    return Load(lambda number: ask(port, "GET", paths[number % len(paths)]), clients=2)


def warm_up(port: int, seconds: float) -> None:
    """Ask for so long, so that rates have something to begin with."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ask(port, "GET", "/")
        wait(0.05)

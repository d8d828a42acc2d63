"""The notifications to systemd (``Type=notify``): ready when a worker serves, alive while a worker is alive.

Without this module, Gunicorn reports that it is ready before it forks a worker. See sd_notify(3) for the protocol.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping

from flask_ops.core.draining import DRAIN
from flask_ops.health import Status
from flask_ops.web.health_answer import Find

VARIABLE = "NOTIFY_SOCKET"


class Systemd:
    """Notifies systemd in each turn of the master's main loop, at least once a second.

    ``fault`` returns why the service is dead, None if it is alive. ``find`` returns its readiness. This class does
    nothing unless systemd requests notifications.
    """

    def __init__(
        self,
        fault: Callable[[], str | None],
        find: Find,
        environ: MutableMapping[str, str] = os.environ,
    ) -> None:
        # Gunicorn and the workers must not notify systemd.
        address = environ.pop(VARIABLE, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._fault, self._find = fault, find
        self._told: set[str] = set()

    def turn(self) -> None:
        """Send changes and a heartbeat."""
        if not self._address:
            return
        status = self._find(()).status
        state = []
        # Ready even if a dependency is down: otherwise the start would time out.
        if status is not Status.STARTING:
            state.append("READY=1")
        if DRAIN.is_final:
            state.append("STOPPING=1")
        state.append(f"STATUS={status}")
        news = [message for message in state if message not in self._told]
        self._told = set(state)
        if self._fault() is None:
            news.append("WATCHDOG=1")
        if news:
            self._send("\n".join(news))

    def _send(self, text: str) -> None:
        # The main loop must continue if systemd does not answer.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            try:
                connection.sendto(text.encode(), self._address)
            except OSError:
                self._told.clear()

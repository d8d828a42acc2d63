"""The health check of a container: ``python -m flask_ops healthcheck``. The image needs no curl."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import sys

from flask_ops.core.address import Address
from flask_ops.core.settings import Settings, SettingsError

TIMEOUT = 2.0
"""Limit for each step of the request, in seconds."""


def run(_: argparse.Namespace) -> int:
    """Print the result, which ``docker inspect`` shows, and return the exit code."""
    fault = _fault()
    sys.stdout.write(f"{fault or 'alive'}\n")
    return int(fault is not None)


def _fault() -> str | None:
    """Return the reason why the service is not alive, None if it is."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as error:
        return f"invalid settings: {error}"
    address, path = settings.management_bind, "/livez"
    if address is None:  # it is turned off
        address, path = settings.bind, "/healthz"
    try:
        with contextlib.closing(_Connection(address)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{address}{path} does not answer: {str(error) or type(error).__name__}"
    return None if answer.status == 200 else f"{address}{path} answers {answer.status}: {text}"


class _Connection(http.client.HTTPConnection):
    """A connection to a listening address, which may be a Unix socket or all interfaces."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host or "localhost", address.port, timeout=TIMEOUT)
        self._unix = address.unix

    def connect(self) -> None:
        if not self._unix:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._unix)

"""The health check of a container: ``python -m flask_ops healthcheck``. No curl is needed in the image."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Mapping

from flask_ops.core.address import Address
from flask_ops.core.settings import Settings, SettingsError

TIMEOUT = 2.0
"""Seconds until no answer is an answer."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


def check(environ: Mapping[str, str]) -> str | None:
    """Return why the service is not alive, None if it is.

    It is asked on its management address, where it is turned off at ``/healthz`` of the application.
    """
    try:
        settings = Settings.from_environ(environ)
    except SettingsError as error:
        return f"settings cannot be used: {error}"
    address, path = settings.management_bind, "/livez"
    if address is None:
        address, path = settings.bind, "/healthz"
    connection = _Connection(address)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{address}{path} does not answer: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"{address}{path} answers {answer.status}: {text}"


def run() -> int:
    """Print what is found, which ``docker inspect`` shows; return the exit code."""
    fault = check(os.environ)
    sys.stdout.write(f"{fault or 'alive'}\n")
    return int(fault is not None)


class _Connection(http.client.HTTPConnection):
    """A connection to an address on which a server listens, be it a Unix socket or all interfaces."""

    def __init__(self, address: Address) -> None:
        super().__init__(_EVERYWHERE.get(address.host, address.host) or "localhost", address.port, timeout=TIMEOUT)
        self._unix = address.unix

    def connect(self) -> None:
        if not self._unix:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._unix)

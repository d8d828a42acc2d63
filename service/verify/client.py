"""Ask with HTTP, never longer than allowed, and follow nothing."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from service.verify.target import Target, without_secrets

MAX_BYTES = 64 * 2**20
"""Of a body; a scrape of 300,000 series has as many."""
T = TypeVar("T")


class NoAnswerError(Exception):
    """There was no answer; the text says why."""


class OutOfTimeError(Exception):
    """The time for all requests together is over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; ``seconds`` from before the connection to the end of its body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def header(self, name: str) -> str:
        """Return the value of a header, empty where there is none."""
        return str(self.headers.get(name, ""))

    @property
    def media_type(self) -> str:
        """The type of the body without its parameters, in lower case."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body as read from JSON, an empty object where it is something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        if 300 <= self.status < 400 and "Location" in self.headers:
            return f"{self.status} to {without_secrets(self.header('Location'))}, which is not followed"
        return f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()


class Client:
    """Asks one target, each time on a connection of its own, on which proxies of the environment have no say."""

    def __init__(self, target: Target, *, timeout: float, deadline: float) -> None:
        """Bound each request by ``timeout`` seconds, and all by ``deadline``, a time of ``time.monotonic()``."""
        self.target = target
        self._timeout = timeout
        self._deadline = deadline

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for ``path``, which starts with a slash. Raises NoAnswerError and OutOfTimeError."""
        return self._bounded(lambda connection: self._get(connection, path, headers or {}))

    def certificate(self) -> tuple[str, dict[str, Any]]:
        """Return the version of TLS, and the certificate as in ``ssl.SSLSocket.getpeercert()``."""

        def read(connection: http.client.HTTPConnection) -> tuple[str, dict[str, Any]]:
            connection.connect()
            tls = cast("ssl.SSLSocket", connection.sock)
            return tls.version() or "TLS", dict(tls.getpeercert() or {})

        return self._bounded(read)

    def wait(self, condition: Callable[[], bool], seconds: float, *, pause: float = 0.05) -> None:
        """Return when ``condition`` is true, or after so many seconds; ``pause`` seconds lie between two tries."""
        end = min(time.monotonic() + seconds, self._deadline)
        while not condition() and time.monotonic() < end:
            time.sleep(pause)

    def _get(self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Answer:
        begin = time.perf_counter()
        sent = {"User-Agent": "service-verify", "Accept": "*/*", "Connection": "close", **headers}
        if self.target.authorization:
            sent["Authorization"] = self.target.authorization
        connection.request("GET", self.target.path + path, headers=sent)
        response = connection.getresponse()
        body = response.read(MAX_BYTES)
        return Answer(response.status, response.headers, body, time.perf_counter() - begin)

    def _bounded(self, call: Callable[[http.client.HTTPConnection], T]) -> T:
        """Run ``call`` in a thread that is left to itself when the time is over.

        A socket's timeout bounds each step only: a server that sends a byte now and then would not be bounded by
        it, nor is the look-up of a name.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        seconds = min(self._timeout, left)
        connection = self._connection(seconds)
        results: list[T] = []
        faults: list[Exception] = []

        def run() -> None:
            try:
                results.append(call(connection))
            except (OSError, ValueError, http.client.HTTPException) as fault:
                faults.append(fault)
            finally:
                connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        if results:
            return results[0]
        if faults and not isinstance(faults[0], TimeoutError):
            raise NoAnswerError(_reason(faults[0]))
        if seconds < self._timeout:
            raise OutOfTimeError
        raise NoAnswerError(f"no complete answer within {seconds:g} s")

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self.target.origin
        if self.target.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=seconds)


def _reason(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"no TLS there: {fault.reason or fault}"
    if isinstance(fault, http.client.RemoteDisconnected | ConnectionResetError):
        return "the connection was closed without an answer"
    if isinstance(fault, OSError):
        return (fault.strerror or str(fault)).lower()
    return f"what came back is not HTTP ({type(fault).__name__})"

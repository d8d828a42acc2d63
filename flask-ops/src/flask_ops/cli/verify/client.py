"""An HTTP client with time limits, which follows no redirects."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from flask_ops.cli.verify.answer import Answer
from flask_ops.cli.verify.target import Target

MAX_BYTES = 64 * 2**20
"""Limit for a body. A scrape of 300,000 series is as long."""
_BROKEN_OFF = "the connection was closed in the middle of the answer"
T = TypeVar("T")


class NoAnswerError(Exception):
    """The answer is missing or incomplete; the text gives the reason."""


class ClosedError(NoAnswerError):
    """The connection was closed before any answer. Some proxies refuse requests in this way."""


class OutOfTimeError(Exception):
    """The time for all requests together is over."""


class Client:
    """Sends requests to one target, each on a new connection. It ignores proxies of the environment."""

    def __init__(self, target: Target, *, timeout: float, deadline: float) -> None:
        """Limit each request to ``timeout`` seconds, and all to ``deadline``, a time of ``time.monotonic()``."""
        self.target = target
        self._timeout = timeout
        self._deadline = deadline

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Request ``path``, which starts with a slash. Raises NoAnswerError and OutOfTimeError."""
        return self.read(path, headers or {}, lambda answer: answer)

    def read(self, path: str, headers: Mapping[str, str], understand: Callable[[Answer], T]) -> T:
        """Request ``path`` and return the result of ``understand``, within the same limit. Raises as ``get``."""
        return self._bounded(lambda connection: understand(self._get(connection, path, headers)))

    def certificate(self) -> tuple[str, dict[str, Any]]:
        """Return the version of TLS and the certificate, as in ``ssl.SSLSocket.getpeercert()``."""

        def read(connection: http.client.HTTPConnection) -> tuple[str, dict[str, Any]]:
            connection.connect()
            tls = cast("ssl.SSLSocket", connection.sock)
            return tls.version() or "TLS", dict(tls.getpeercert() or {})

        return self._bounded(read)

    def wait(self, condition: Callable[[], bool], seconds: float, *, pause: float = 0.05) -> None:
        """Wait until ``condition`` is true, at most ``seconds``. Pause between two tries."""
        end = min(time.monotonic() + seconds, self._deadline)
        while not condition() and time.monotonic() < end:
            time.sleep(pause)

    def _get(self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Answer:
        begin = time.perf_counter()
        sent = {"User-Agent": "service-verify", "Accept": "*/*", "Connection": "close", **headers}
        if self.target.authorization:
            sent["Authorization"] = self.target.authorization
        connection.request("GET", self.target.path + path, headers=sent)
        with connection.getresponse() as response:
            try:
                body = response.read(MAX_BYTES + 1)
            except (http.client.IncompleteRead, ConnectionError):
                raise NoAnswerError(_BROKEN_OFF) from None
            if len(body) > MAX_BYTES:
                raise NoAnswerError(f"the answer has more than {MAX_BYTES // 2**20} MiB")
            if response.length:  # bytes are missing, which `read(size)` ignores
                raise NoAnswerError(_BROKEN_OFF)
            return Answer(response.status, response.headers, body, time.perf_counter() - begin)

    def _bounded(self, call: Callable[[http.client.HTTPConnection], T]) -> T:
        """Run ``call`` in a thread, and abandon the thread when the time is over.

        A socket's timeout limits each step only: not a server that sends a byte now and then, nor a name lookup.
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
            except (OSError, ValueError, http.client.HTTPException, NoAnswerError) as fault:
                faults.append(fault)
            finally:
                connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        if results:
            return results[0]
        if faults and not isinstance(faults[0], TimeoutError):
            raise _no_answer(faults[0])
        if seconds < self._timeout:
            raise OutOfTimeError
        raise NoAnswerError(f"no complete answer within {seconds:g} s")

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self.target.origin
        if self.target.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=seconds)


def _no_answer(fault: Exception) -> NoAnswerError:
    if isinstance(fault, NoAnswerError):
        return fault
    if isinstance(fault, http.client.RemoteDisconnected | ConnectionResetError):
        return ClosedError("the connection was closed without an answer")
    return NoAnswerError(_reason(fault))


def _reason(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"no TLS there: {fault.reason or fault}"
    if isinstance(fault, OSError):
        return (fault.strerror or str(fault)).lower()
    return f"the answer is not HTTP ({type(fault).__name__})"

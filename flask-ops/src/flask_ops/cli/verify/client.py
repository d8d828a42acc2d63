"""An HTTP client for one URL, and its answers."""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

MAX_BYTES = 64 * 2**20
"""Limit for a body. A scrape of 300,000 series is as long."""
_EXPECTED = "http://host[:port][/path] or https://host[:port][/path]"


class NoAnswerError(Exception):
    """The answer is missing or incomplete; the text gives the reason."""


class ClosedError(NoAnswerError):
    """The connection was closed before any answer. Some proxies refuse requests in this way."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str:
        """Return the value of a header, or an empty string."""
        return str(self.headers.get(name, ""))

    @property
    def media_type(self) -> str:
        """The type of the body without its parameters, in lower case."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the JSON object of the body, empty if the body is anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        if 300 <= self.status < 400 and "Location" in self.headers:
            return f"{self.status} to {without_secrets(self.header('Location'))}, which is not followed"
        return f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()


class Client:
    """Sends requests to one URL, each on a new connection. It ignores proxies of the environment.

    ``str()`` shows the URL without user and password. ``origin`` is its host and port, and ``path`` the prefix of each
    path that is requested.
    """

    def __init__(self, url: str, timeout: float, token: str | None = None) -> None:
        """Take a URL, the limit in seconds for each step of a request, and a bearer token.

        Raises ValueError, whose text is the expected form and never the URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # an invalid port, or an unclosed bracket
            raise ValueError(_EXPECTED) from None
        is_sendable = url.isascii() and url.isprintable() and " " not in url
        is_bare = not parts.query and not parts.fragment
        if parts.scheme not in {"http", "https"} or not host or port == 0 or not is_bare or not is_sendable:
            raise ValueError(_EXPECTED)
        self.is_tls = parts.scheme == "https"
        self.origin = host, port or (443 if self.is_tls else 80)
        self.path = parts.path.rstrip("/")
        self._shown = without_secrets(url).rstrip("/")
        self._timeout = timeout
        self._headers = {"User-Agent": "service-verify", "Accept": "*/*", "Connection": "close"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()  # RFC 7617
        elif token is not None:
            self._headers["Authorization"] = f"Bearer {token}"  # RFC 6750

    def __str__(self) -> str:
        return self._shown

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Request ``path``, which starts with a slash. Follows no redirect. Raises NoAnswerError."""
        kind = http.client.HTTPSConnection if self.is_tls else http.client.HTTPConnection
        connection = kind(*self.origin, timeout=self._timeout)
        try:
            return self._exchange(connection, path, {**self._headers, **(headers or {})})
        except TimeoutError:
            raise NoAnswerError(f"no complete answer within {self._timeout:g} s") from None
        except (OSError, ValueError, http.client.HTTPException) as fault:
            raise NoAnswerError(_reason(fault)) from None
        finally:
            connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Answer:
        try:
            connection.request("GET", self.path + path, headers=headers)
            response = connection.getresponse()
        except ConnectionResetError:
            raise ClosedError("the connection was closed without an answer") from None
        with response:
            body = response.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                raise NoAnswerError(f"the answer has more than {MAX_BYTES // 2**20} MiB")
            if response.length:  # read(size) does not raise if bytes are missing
                raise http.client.IncompleteRead(body)
            return Answer(response.status, response.headers, body)


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "a malformed URL"


def _reason(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"no TLS there: {fault.reason or fault}"
    if isinstance(fault, OSError):
        return (fault.strerror or str(fault)).lower()
    if isinstance(fault, http.client.IncompleteRead):
        return "the answer is incomplete"
    return f"the answer is not HTTP ({type(fault).__name__})"

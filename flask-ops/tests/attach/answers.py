"""Answers without the parts that differ each time, so that two servers give equal answers."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from tests.process import DEADLINE

HOST = "application.example"


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    form: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.method, self.target, *([self.form] if self.form else []), *self.headers.values()])


@dataclass(frozen=True)
class Seen:
    """An answer without the parts that differ each time."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    is_whole: bool


class Client:
    """Send requests one after the other, each on its own connection, and keep cookies as a browser does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    def ask(self, request: Request) -> tuple[Seen, list[str]]:
        """Return the answer and its request ids."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        with contextlib.closing(connection):
            headers = {"Host": HOST, "User-Agent": "test", **request.headers}
            if self._cookies:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            if request.form is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(request.method, request.target, request.form, headers)
            with connection.getresponse() as response:
                try:
                    body, is_whole = response.read(), True
                except http.client.IncompleteRead as broken:
                    body, is_whole = broken.partial, False
                received = response.getheaders()
        self._keep_cookies(received)
        ids = [value for name, value in received if name == "X-Request-ID"]
        kept = [(name, value) for name, value in received if name != "X-Request-ID"]
        return Seen(response.status, response.reason, *_constant(request, kept, body), is_whole), ids

    def _keep_cookies(self, headers: Iterable[tuple[str, str]]) -> None:
        for name, value in headers:
            if name.lower() == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self._cookies[cookie.key] = cookie.value
                    if cookie["max-age"] == "0" or "1970" in cookie["expires"]:
                        del self._cookies[cookie.key]


_ALWAYS = [
    # # The signing time of a cookie, and the signature that depends on it.
    ("Set-Cookie", re.compile(r"(session=\.?[\w-]+)\.[\w-]+\.[\w-]+"), r"\1.TIME.SIGNATURE"),
    ("Date", re.compile(r".+"), "NOW"),
]
_BY_PATH = [
    # httpbin sends the current time and a random tag.
    ("/cache", "Last-Modified", re.compile(r".+"), "NOW"),
    ("/cache", "ETag", re.compile(r".+"), "RANDOM"),
    ("/digest-auth", "WWW-Authenticate", re.compile(r"(nonce|opaque)=\"\w+\""), r'\1="RANDOM"'),
    ("/digest-auth", "Set-Cookie", re.compile(r"(last_nonce)=\w+"), r"\1=RANDOM"),
]
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _constant(request: Request, headers: list[tuple[str, str]], body: bytes) -> tuple[list[tuple[str, str]], bytes]:
    rules = [*_ALWAYS, *(rule[1:] for rule in _BY_PATH if request.target.startswith(rule[0]))]
    for name, pattern, replacement in rules:
        headers = [(key, pattern.sub(replacement, value) if key == name else value) for key, value in headers]
    if request.target == "/uuid":
        body = _UUID.sub(b"UUID", body)
    if ("Content-Encoding", "gzip") in headers and body:
        body = gzip.decompress(body)  # gzip stores the time of compression
    return headers, body

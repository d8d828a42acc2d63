"""The URL under test, and its form without secrets."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_EXPECTED = "http://host[:port][/path] or https://host[:port][/path]"


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a service. ``path`` is the prefix of each path that is requested, without a final slash.

    ``str()`` shows neither user nor password. ``authorization`` contains both.
    """

    scheme: str
    host: str
    port: int
    path: str
    authorization: str | None = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a URL. Raises ValueError, whose text is the expected form and never the URL."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:  # an invalid port, or an unclosed bracket
            raise ValueError(_EXPECTED) from None
        # Other characters cannot be sent.
        is_plain = text.isascii() and text.isprintable() and " " not in text
        is_bare = not parts.query and not parts.fragment
        if parts.scheme not in {"http", "https"} or not host or port == 0 or not is_bare or not is_plain:
            raise ValueError(_EXPECTED)
        port = port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, host, port, parts.path.rstrip("/"), _authorization(parts))

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as in a URL, without the scheme's default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def without_secrets(url: str) -> str:
    """Return a server's URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "a malformed URL"


def _authorization(parts: SplitResult) -> str | None:
    """Return the value of the header Authorization (RFC 7617); None without a user."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()

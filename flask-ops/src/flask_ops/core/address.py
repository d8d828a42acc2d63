"""The address on which a server listens."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import NamedTuple

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


class Address(NamedTuple):
    """A TCP address or, if ``unix`` is set, the path of a Unix socket.

    Port 0 asks the kernel for a free one.
    """

    host: str = ""
    port: int = 0
    unix: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``host:port``, ``[ipv6]:port`` or ``unix:/path``.

        Raises ValueError with the expected form as its text.
        """
        if text.startswith("unix:/"):
            return cls(unix=text.removeprefix("unix:"))
        match = _HOST_PORT.fullmatch(text)
        with contextlib.suppress(ValueError):
            if match is not None and int(match["port"]) <= 65535:
                if match["v6"]:
                    ipaddress.IPv6Address(match["v6"])  # raises if it is none
                return cls(host=match["v6"] or match["host"], port=int(match["port"]))
        raise ValueError("host:port, [ipv6]:port or unix:/path")

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can connect."""
        if self.unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # another host name: it may resolve to anything
            return False

    def __str__(self) -> str:
        if self.unix:
            return f"unix:{self.unix}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

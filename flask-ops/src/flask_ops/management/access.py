"""The rules who may read and change what on the management address.

Any page in an operator's browser can send requests to this machine. It can read the answers if its own host name
resolves to this machine for a moment (DNS rebinding). Such a request has the page's name as its Host. So names are
accepted only if they are known. An IP address as Host is safe: no name was resolved.
"""

from __future__ import annotations

import binascii
import ipaddress
from base64 import b64decode
from hmac import compare_digest

from flask_ops.core.http import Request, Response
from flask_ops.core.settings import Settings
from flask_ops.web.answers import problem_answer

_CHALLENGES = (
    ("WWW-Authenticate", 'Bearer realm="management"'),
    ("WWW-Authenticate", 'Basic realm="management", charset="UTF-8"'),  # so that a browser asks for the password
)


class Access:
    """Judges requests by site, host and token."""

    def __init__(self, settings: Settings) -> None:
        bind = settings.management_bind
        self._is_unix = bind is not None and bool(bind.unix)
        self._hosts = {"localhost", *settings.management_hosts, *([bind.host.lower()] if bind else [])}
        self._domains = tuple(name.removeprefix("*") for name in ("*.localhost", *self._hosts) if name.startswith("*."))
        self._token = settings.management_token
        self._reads = settings.management_token_reads

    def refusal(self, request: Request, *, changes: bool) -> Response | None:
        """Return the response to a request that is not allowed, None if it is."""
        if changes and _is_of_another_site(request):
            return problem_answer(403, "A page in a browser may not do this. Send the request without Origin.")
        if self._token is not None and self._has_token(request):
            return None
        host = request.headers.get("host")
        if host is not None and not self._is_known(host):
            detail = (
                f"The host {host[:100]!r} is not known. Use an IP address or localhost, or add the name to "
                "SERVICE_MANAGEMENT_HOSTS, without the port."
            )
            return problem_answer(421, detail)
        if self._token is not None and (changes or self._reads):
            detail = (
                "This needs the token of SERVICE_MANAGEMENT_TOKEN: send Authorization: Bearer TOKEN. In a browser, it "
                "is the password of any user."
            )
            return problem_answer(401, detail, *_CHALLENGES)
        return None

    def _is_known(self, host: str) -> bool:
        """Judge a valid Host header. A port forwarding may change the port, so any port is good."""
        if self._is_unix:  # no browser reaches it
            return True
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        name = name.lower().removesuffix(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts or name.endswith(self._domains)
        return True

    def _has_token(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        given = credentials.strip().encode("latin-1")
        if scheme.lower() == "basic":
            try:
                given = b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return self._token is not None and compare_digest(given, self._token.encode())


def _is_of_another_site(request: Request) -> bool:
    """Tell whether a page in a browser sent the request. Any site can make a visitor's browser call loopback."""
    return "origin" in request.headers or request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}

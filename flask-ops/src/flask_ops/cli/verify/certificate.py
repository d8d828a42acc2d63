"""The test of the certificate of a service with TLS. An invalid one already fails the first request."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from flask_ops.cli.findings import Finding, ok, warning
from flask_ops.cli.verify.client import Client

_DAY = 86400


def look(client: Client, days: int) -> Iterator[Finding]:
    """Yield the end of the certificate, as a warning if fewer than ``days`` are left. Raises NoAnswerError."""
    version, certificate = client.certificate()
    end = ssl.cert_time_to_seconds(certificate["notAfter"])
    left = int((end - time.time()) // _DAY)
    text = f"{version}, certificate valid until {datetime.fromtimestamp(end, UTC):%Y-%m-%d}, {left} days"
    if left < days:
        yield warning("tls", f"{text}.", "Renew it, and find out why it was not renewed automatically.")
    else:
        yield ok("tls", text)

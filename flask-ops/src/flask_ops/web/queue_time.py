"""The time a request waited for a worker, by the proxy's clock."""

from __future__ import annotations

import re

_HEADER = re.compile(r"(?:t=)?([0-9]{10,16}(?:\.[0-9]{1,6})?)")
_LONGEST_SECONDS = 3600.0


def waited(header: str, now: float) -> float | None:
    """Return the seconds between ``X-Request-Start`` and ``now`` (Unix time); None if it makes no sense.

    Proxies send seconds (nginx's ``t=${msec}``), milliseconds (Heroku) or microseconds (Apache's ``t=%t``). Their size
    distinguishes them. A start in the future counts as no wait.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        return None
    start = float(match[1])
    if start >= 1e14:
        start /= 1e6  # microseconds
    elif start >= 1e11:
        start /= 1e3  # milliseconds
    seconds = now - start
    return max(0.0, seconds) if -_LONGEST_SECONDS < seconds < _LONGEST_SECONDS else None

"""How many requests this process can serve at one time, where its server was told otherwise than we."""

from __future__ import annotations

threads: int | None = None
"""Set by the server's hooks; None where ``SERVICE_THREADS`` counts."""

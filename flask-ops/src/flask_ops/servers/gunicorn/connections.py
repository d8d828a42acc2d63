"""The limit on the connections of a threaded worker. Without it, some workers would be overloaded and others idle."""

from __future__ import annotations

from typing import Any

FITTING = 0
"""The value of ``worker_connections`` that means ``PER_THREAD`` times the number of threads. A configuration file
cannot compute it: Gunicorn reads ``--threads`` and ``GUNICORN_CMD_ARGS`` later."""
PER_THREAD = 5
"""With Gunicorn's default of 1000, one worker took 23 of 24 one-second requests on 2 x 4 threads. Five per thread
spread them over the workers."""


def limit(config: Any) -> int:
    """Return the limit that Gunicorn's ``config`` requests."""
    return int(config.worker_connections) or PER_THREAD * int(config.threads)

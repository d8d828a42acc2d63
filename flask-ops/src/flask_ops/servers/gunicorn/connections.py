"""The number of connections that a threaded worker holds at one time."""

from __future__ import annotations

from typing import Any

FITTING = 0
"""The value of ``worker_connections`` that stands for ``PER_THREAD`` times the number of threads. A configuration file
cannot compute it: ``--threads`` and ``GUNICORN_CMD_ARGS`` are read after it."""
PER_THREAD = 5
"""The default of 1000 lets one worker hoard the connections while another one is idle: of 24 one-second requests on
2 x 4 threads, 23 went to one worker. Five for each thread share them out."""


def limit(config: Any) -> int:
    """Return the number that Gunicorn's ``config`` asks for."""
    return int(config.worker_connections) or PER_THREAD * int(config.threads)

"""The detection of gevent and eventlet, which replace all threads of a process by greenlets of one thread."""

from __future__ import annotations

import threading

HINT = "remove the call of monkey.patch_all(): threads serve the requests"


def reason() -> str | None:
    """Return the reason why the process has no threads. None if it has."""
    package = threading.get_ident.__module__.partition(".")[0]  # _thread is Python's own
    return None if package == "_thread" else f"{package} has replaced the threads of this process"

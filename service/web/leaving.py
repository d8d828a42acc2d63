"""Tell the SystemExit with which a server ends its worker from one that a view has raised."""

from __future__ import annotations

import threading

process_is_leaving = threading.Event()
"""Set by Gunicorn's hooks, in a signal handler: this module must import nothing that takes time."""


def ends_the_process(error: BaseException) -> bool:
    """Tell an exception that has to reach the server from one that is the application's fault."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and process_is_leaving.is_set())

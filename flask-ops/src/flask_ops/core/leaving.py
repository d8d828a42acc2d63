"""Tell the exception with which a server ends its process from one that a view has raised."""

from __future__ import annotations

import signal
import threading

process_is_leaving = threading.Event()
"""Set by Gunicorn's hooks, in a signal handler: this module must import nothing that takes time."""


def ends_the_process(error: BaseException) -> bool:
    """Tell an exception that has to reach the server from one that is the application's fault."""
    if isinstance(error, KeyboardInterrupt):
        # Ctrl-C is raised in the main thread, and only where nobody has a handler of their own, as Gunicorn has.
        in_main_thread = threading.current_thread() is threading.main_thread()
        return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, SystemExit) and process_is_leaving.is_set()

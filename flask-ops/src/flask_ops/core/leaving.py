"""The distinction between exceptions that end the process and exceptions of a view."""

from __future__ import annotations

import signal
import threading

from flask_ops.core.context import current_request

process_is_leaving = threading.Event()
"""Set by Gunicorn's hooks, in a signal handler. The imports of this module must be fast."""


def ends_the_process(error: BaseException) -> bool:
    """Tell whether ``error`` must reach the server, and is not a fault of the application."""
    if isinstance(error, KeyboardInterrupt):
        # Python raises Ctrl-C in the main thread, unless the server has its own handler. uWSGI has one in C, which
        # getsignal() does not know. Its main threads serve requests.
        request = current_request.get()
        if request is not None and "uwsgi.version" in request.environ:
            return False
        in_main_thread = threading.current_thread() is threading.main_thread()
        return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, SystemExit) and process_is_leaving.is_set()

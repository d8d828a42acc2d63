"""Where the worker processes of one server keep their metrics, so that any of them can sum up.

``create`` has to come before the first metric is made: in Gunicorn's configuration, and under
uWSGI, which has no earlier moment, when the package is imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OWNED = "METRICS_STORE_TO_REMOVE"
"""For deploy/uwsgi.ini: uWSGI's master runs no Python at its exit."""


def create() -> None:
    """Make the store of this process and of those it will fork; removed at this one's exit.

    A directory that the user has set is used as it is. Calling it again changes nothing.
    """
    if VARIABLE in os.environ:
        return
    directory = tempfile.mkdtemp(prefix="service-metrics-")  # 0700
    os.environ[VARIABLE] = directory
    os.environ[OWNED] = directory
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker inherits this function
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    # prometheus_client looks for the variable when it is imported, which may have been before.
    from prometheus_client import values  # noqa: PLC0415 - a server with one process has no use for it

    values.ValueClass = values.MultiProcessValue()


def is_shared() -> bool:
    """Tell whether several processes keep their metrics together."""
    return VARIABLE in os.environ


def forget(pid: int) -> None:
    """Drop what a dead process was measuring at the moment; what it has counted stays."""
    from prometheus_client import multiprocess  # noqa: PLC0415 - after create(), see above

    multiprocess.mark_process_dead(pid)

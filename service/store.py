"""Where the worker processes of one server keep their metrics, so that any of them can sum up.

prometheus_client decides at its first import, by ``PROMETHEUS_MULTIPROC_DIR``, whether metrics
live in files that processes share. That is why Gunicorn's configuration, and under uWSGI the
package itself, calls ``create`` before anything else is imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def create() -> None:
    """Make the store of this process and of those it will fork; removed at this one's exit.

    A directory that the user has set is used as it is. Calling it again changes nothing.
    """
    if VARIABLE in os.environ:
        return
    directory = tempfile.mkdtemp(prefix="service-metrics-")  # 0700
    os.environ[VARIABLE] = directory
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker inherits this function
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)


def is_shared() -> bool:
    """Tell whether several processes keep their metrics together."""
    return VARIABLE in os.environ


def forget(pid: int) -> None:
    """Drop what a dead process was measuring at the moment; what it has counted stays."""
    from prometheus_client import multiprocess  # noqa: PLC0415 - after create(), see above

    multiprocess.mark_process_dead(pid)


if "uwsgi" in sys.modules:  # uWSGI loads the application before it forks, and has no earlier hook
    create()

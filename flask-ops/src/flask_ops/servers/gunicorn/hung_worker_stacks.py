"""The stacks of a worker that holds the GIL, for example in a backtracking regular expression.

No other thread and no Python signal handler can run in this worker, so Gunicorn has to kill it. A signal handler in C
writes the stacks first. Without this module, nothing would show the cause.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from flask_ops.web.stuck_requests import FRAMES

PATIENCE_SECONDS = 0.3
"""Time for a worker to write its stacks before it is killed."""
_SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
_SERVES = re.compile(r'/flask_ops/web/exchange\.py", line [0-9]+ in (?:respond|__next__)$', re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>[0-9]+) in (?P<function>.*)$', re.MULTILINE)


class Stacks:
    """A file in memory for the stacks of one worker. Create it before the fork. It stays empty if not on Linux.

    The worker writes on SIGRTMIN. Nothing else uses it: Gunicorn sends most other signals to its workers, and resets no
    real-time one. macOS has no real-time signals. There, SIGUSR2 ends the worker, which the master would kill next.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("stacks") if sys.platform == "linux" else os.open(os.devnull, os.O_RDWR)

    def write_when_asked(self) -> None:
        """Write the stacks of all threads of this process, the worker, on the signal."""
        faulthandler.register(_SIGNAL, self._file, all_threads=True)

    def write_no_more(self) -> None:
        """Ignore the signal in this worker: its Python code runs and reports its stacks."""
        signal.signal(_SIGNAL, signal.SIG_IGN)

    def ask(self, pid: int) -> None:
        """Request the stacks of the worker and wait briefly for them. A stopped process never writes them."""
        with suppress(ProcessLookupError):
            os.kill(pid, _SIGNAL)
        end, before = time.monotonic() + PATIENCE_SECONDS, 0
        while time.monotonic() < end:
            time.sleep(0.02)
            size = os.fstat(self._file).st_size
            if size and size == before:
                return
            before = size

    def read(self) -> list[list[dict[str, Any]]]:
        """Return the innermost frames of each thread that was serving a request, the innermost last."""
        text = os.pread(self._file, os.fstat(self._file).st_size, 0).decode(errors="backslashreplace")
        return [
            [{**frame.groupdict(), "line": int(frame["line"])} for frame in [*_FRAME.finditer(thread)][:FRAMES]][::-1]
            for thread in text.split("\n\n")
            if _SERVES.search(thread)
        ]

    def close(self) -> None:
        """Close the file in this process."""
        os.close(self._file)

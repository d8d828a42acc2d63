"""The stacks of a worker that holds the GIL, for example in a backtracking regular expression.

No other thread and no Python signal handler can run in this worker, so Gunicorn has to kill it. A signal handler in C
writes the stacks first. Without this module, nothing would show the cause.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import time
from contextlib import suppress
from typing import Any

from flask_ops.web.stuck_requests import FRAMES

_SIGNAL = getattr(signal, "SIGRTMIN", None)
"""A signal that nothing else uses: Gunicorn sends most others to its workers, and resets no real-time one. Linux."""
PATIENCE_SECONDS = 0.3
"""Time for a worker to write its stacks before it is killed."""
_SERVES = re.compile(r'/flask_ops/web/exchange\.py", line [0-9]+ in (?:respond|__next__)$', re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>[0-9]+) in (?P<function>.*)$', re.MULTILINE)


def open_file() -> int | None:
    """Return the descriptor of a file in memory for the stacks of the next worker, or None."""
    try:
        return os.memfd_create("stacks") if _SIGNAL is not None else None
    except OSError:  # no descriptor left, or not allowed
        return None


def write_when_asked(file: int | None) -> None:
    """Register the signal that writes the stacks of all threads of this worker into this file."""
    if file is not None and _SIGNAL is not None:
        faulthandler.register(_SIGNAL, file, all_threads=True)


def ask(pid: int, file: int | None) -> None:
    """Request the stacks of a worker and wait briefly for them. A stopped process never writes them."""
    if file is None or _SIGNAL is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, _SIGNAL)
    end, before = time.monotonic() + PATIENCE_SECONDS, 0
    while time.monotonic() < end:
        time.sleep(0.02)
        size = os.fstat(file).st_size
        if size and size == before:
            return
        before = size


def write_no_more() -> None:
    """Ignore the signal in this worker: its Python code runs and reports its stacks."""
    if _SIGNAL is not None:
        signal.signal(_SIGNAL, signal.SIG_IGN)


def stacks(file: int | None) -> list[list[dict[str, Any]]]:
    """Return the innermost frames of each thread that was serving a request, the innermost last."""
    if file is None:
        return []
    text = os.pread(file, os.fstat(file).st_size, 0).decode(errors="backslashreplace")
    threads = [thread for thread in text.split("\n\n") if _SERVES.search(thread)]
    return [
        [{**frame.groupdict(), "line": int(frame["line"])} for frame in [*_FRAME.finditer(thread)][:FRAMES]][::-1]
        for thread in threads
    ]

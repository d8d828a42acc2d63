"""What a worker was doing in which no Python code runs any more.

Who holds the interpreter's lock and does not give it back, a regular expression that backtracks, say, keeps every
thread and every signal handler of Python's from running, so that Gunicorn has to kill the worker. A handler in C still
writes the stacks before.
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
"""Nobody else's: Gunicorn, which sends its workers most others, resets none of these. Linux."""
PATIENCE_SECONDS = 0.3
"""How long a worker that is about to be killed has for that."""
_SERVES = re.compile(r'/flask_ops/web/exchange\.py", line [0-9]+ in (?:respond|__next__)$', re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>[0-9]+) in (?P<function>.*)$', re.MULTILINE)


def open_file() -> int | None:
    """Return the descriptor of a file in memory, for a worker that is to be forked to write into."""
    try:
        return os.memfd_create("stacks") if _SIGNAL is not None else None
    except OSError:  # no descriptor is left, or it is not allowed: the worker does without
        return None


def write_when_asked(file: int | None) -> None:
    """In the worker: let a signal write the stacks of all threads into this file."""
    if file is not None and _SIGNAL is not None:
        faulthandler.register(_SIGNAL, file, all_threads=True)


def ask(pid: int, file: int | None) -> None:
    """Have the worker write, and wait until it has, but not for long: it may be stopped."""
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
    """In the worker: its Python runs, and has said by itself what it was doing."""
    if _SIGNAL is not None:
        signal.signal(_SIGNAL, signal.SIG_IGN)


def stacks(file: int | None) -> list[list[dict[str, Any]]]:
    """Return, of each thread that was serving a request, the innermost frames, the innermost last."""
    if file is None:
        return []
    text = os.pread(file, os.fstat(file).st_size, 0).decode(errors="backslashreplace")
    threads = [thread for thread in text.split("\n\n") if _SERVES.search(thread)]
    return [
        [{**frame.groupdict(), "line": int(frame["line"])} for frame in [*_FRAME.finditer(thread)][:FRAMES]][::-1]
        for thread in threads
    ]

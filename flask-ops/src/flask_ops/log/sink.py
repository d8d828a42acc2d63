"""The destination of all log lines of this process: standard output.

After ``start``, a thread writes, and no log call waits. Before ``start``, in a forked child that has not called it, and
at the very end of the process, ``write_line`` itself writes. It then waits for a stalled reader, but not for long.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from flask_ops.core import forks
from flask_ops.log.line_writer import LineWriter
from flask_ops.log.output import Output, use_append_mode, wait_for_room

FLUSH_SECONDS = 2.0
"""How long the end of a process waits for a stalled reader. Before ``start``, the first line waits as long."""


class _DirectWriter:
    """Writes each line at once. Waits for a stalled reader only once, up to ``patience`` seconds.

    ``take`` gets each line first.
    """

    def __init__(self, output: Output, patience: float, take: Callable[[bytes], object] | None = None) -> None:
        self._output, self._patience, self._take = output, patience, take
        self._lock = threading.RLock()

    def put(self, line: bytes) -> None:
        if self._take is not None:
            self._take(line)
        with self._lock:
            if wait_for_room(self._patience):
                self._patience = FLUSH_SECONDS
                self._output.write([line])
            else:
                self._patience = 0
                self._output.drop(1)

    def flush(self, seconds: float) -> bool:  # noqa: ARG002 - after a stall, stop() must not wait again
        return self._patience > 0


class _Process:
    """The log of one process. A forked child begins again, because its parent writes the waiting lines."""

    def __init__(self) -> None:
        self.output = Output(b'{"level":"warning","event":"log lines dropped","lines":%d}\n'.__mod__)
        self.begin()

    def begin(self, patience: float = FLUSH_SECONDS, dropped: int = 0) -> None:
        self.output = Output(self.output.describe, dropped)
        self.writer: _DirectWriter | LineWriter = _DirectWriter(self.output, patience)

    def stop(self) -> None:
        """Write the waiting lines, and later ones at once, because the interpreter is about to end its threads."""
        in_time = self.writer.flush(FLUSH_SECONDS)
        self.begin(FLUSH_SECONDS if in_time else 0, self.output.dropped)  # the thread may still use the old output


_process = _Process()


def write_line(line: bytes) -> None:
    """Write ``line``, which ends with its newline. Raises nothing, because a failing log must not fail a request."""
    _process.writer.put(line)


def start(buffer_bytes: int) -> None:
    """Start the thread that writes. Up to ``buffer_bytes`` wait for a stalled reader."""
    if isinstance(_process.writer, _DirectWriter):
        use_append_mode()
        _process.writer = LineWriter(_process.output, buffer_bytes)


@contextlib.contextmanager
def copied(take: Callable[[bytes], object]) -> Iterator[None]:
    """Pass each line of the block to ``take``, then write it at once. For tests."""
    before = _process.writer
    before.flush(FLUSH_SECONDS)
    _process.writer = _DirectWriter(_process.output, FLUSH_SECONDS, take)
    try:
        yield
    finally:
        _process.writer = before


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until all lines are written. Return False if it takes longer. Call it before ``os._exit``."""
    return _process.writer.flush(seconds)


def flush_and_exit(code: int = 0) -> NoReturn:
    """End this process with an exit code once its lines are written, without waiting for its threads."""
    flush()
    os._exit(code)


def dropped() -> int:
    """Return how many lines of this process had no room in the buffer or could not be written."""
    return _process.output.dropped


def describe_drops(describe: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Use ``describe`` to make the line that counts dropped lines, newline included. Return the previous one."""
    before, _process.output.describe = _process.output.describe, describe
    return before


atexit.register(_process.stop)
forks.in_child(_process.begin)

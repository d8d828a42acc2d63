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
from typing import NoReturn, Protocol

from flask_ops.core import forks
from flask_ops.log.line_writer import LineWriter
from flask_ops.log.output import PIPE_BYTES, Output, append, is_file, takes_more

FLUSH_SECONDS = 2.0
"""How long the end of a process waits for a stalled reader. Before ``start``, the first line waits as long."""
FILE_LINE_BYTES = 65536
"""The longest line in a file, unless a setting changes it."""


def _bare_description(lines: int) -> bytes:
    return b'{"level":"warning","event":"log lines dropped","lines":%d}\n' % lines


class Writer(Protocol):
    """A destination of lines."""

    @property
    def dropped(self) -> int:
        """Number of lines that were not written."""

    def put(self, line: bytes) -> None:
        """Take one line."""

    def flush(self, seconds: float) -> bool:
        """Wait until all lines are written. Return False after ``seconds``."""


class _Process:
    """The state of one process. A forked child starts with a new one, because its parent writes the waiting lines."""

    def __init__(self) -> None:
        self.writer: Writer | None = None
        self.output = Output()
        self.lock = threading.RLock()
        self.patience = FLUSH_SECONDS
        self.dropped = self.untold = 0


_process = _Process()
_describe: Callable[[int], bytes] = _bare_description


def write_line(line: bytes) -> None:
    """Write ``line``, which ends with its newline. Raises nothing, because a failing log must not fail a request."""
    writer = _process.writer
    if writer is not None:
        writer.put(line)
    else:
        _write_now(line)


def start(buffer_bytes: int) -> None:
    """Start the thread that writes. Up to ``buffer_bytes`` wait for a stalled reader."""
    process = _process
    with process.lock:
        if process.writer is None:
            append()
            process.writer = LineWriter(process.output, buffer_bytes, _description)


@contextlib.contextmanager
def copied(take: Callable[[bytes], object]) -> Iterator[None]:
    """Pass each line of the block to ``take`` before it is written."""
    process = _process
    before = process.writer
    process.writer = _CopyingWriter(take, before)
    try:
        yield
    finally:
        process.writer = before


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until all lines are written. Return False if it takes longer. Call it before ``os._exit``."""
    writer = _process.writer
    return writer is None or writer.flush(seconds)


def end_process() -> NoReturn:
    """End this process once its lines are written, without waiting for its threads."""
    flush()
    os._exit(0)


def dropped() -> int:
    """Return how many lines of this process had no room in the buffer or could not be written."""
    writer = _process.writer
    return _process.dropped + (writer.dropped if writer is not None else 0)


def describe_drops(describe: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Use ``describe`` to make the line that counts dropped lines, newline included. Return the previous one."""
    global _describe
    before, _describe = _describe, describe
    return before


def line_limit(wanted: int | None) -> int:
    """Return the maximum length of a line in bytes. In a pipe, longer writes could mix with those of others."""
    if is_file():
        return wanted or FILE_LINE_BYTES
    return min(wanted or PIPE_BYTES, PIPE_BYTES)


class _CopyingWriter:
    """Copies lines on their way to ``writer``. If it is None, they are written at once."""

    def __init__(self, take: Callable[[bytes], object], writer: Writer | None) -> None:
        self._take, self._writer = take, writer

    @property
    def dropped(self) -> int:
        return 0 if self._writer is None else self._writer.dropped

    def put(self, line: bytes) -> None:
        self._take(line)
        if self._writer is None:
            _write_now(line)
        else:
            self._writer.put(line)

    def flush(self, seconds: float) -> bool:
        return self._writer is None or self._writer.flush(seconds)


def _description(lines: int) -> bytes:
    return _describe(lines)  # looked up late, because it can change


def _write_now(line: bytes) -> None:
    process = _process
    with process.lock:
        refused = 1
        if takes_more(process.patience):
            process.patience = FLUSH_SECONDS
            if process.untold and process.output.write([_describe(process.untold)]) == 0:
                process.untold = 0
            refused = process.output.write([line])
        else:
            process.patience = 0  # wait for a stalled reader only once
        process.dropped += refused
        process.untold += refused


def _stop() -> None:
    """Write the waiting lines, and later ones at once, because the interpreter is about to end its threads."""
    process = _process
    writer = process.writer
    if writer is not None:
        if not writer.flush(FLUSH_SECONDS):
            process.patience = 0
        process.dropped += writer.dropped
        process.writer, process.output = None, Output()  # the thread may still use the old one


def _in_child() -> None:
    global _process  # noqa: PLW0603 - the child is another process
    _process = _Process()


atexit.register(_stop)
forks.in_child(_in_child)

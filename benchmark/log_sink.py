"""Where a server's output goes while it is measured: into a file, or into a pipe that is read."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


class LogSink:
    """``descriptor`` is to be the server's standard output; ``lines`` is complete once the server has ended."""

    def __init__(self, descriptor: int, count: Callable[[], int]) -> None:
        self.descriptor = descriptor
        self._count = count

    def lines(self) -> int:
        """Return how many lines have been written."""
        return self._count()


@contextlib.contextmanager
def file_sink(path: Path, size: int = 0) -> Iterator[LogSink]:
    """Append to a file that already has ``size`` bytes, none of which takes room on the disk."""
    path.touch()
    os.truncate(path, size)
    with path.open("ab") as file:
        yield LogSink(file.fileno(), lambda: _lines_from(path, size))
    path.unlink()


@contextlib.contextmanager
def pipe_sink() -> Iterator[LogSink]:
    """Write into a pipe whose reader keeps up, as a collector of logs does."""
    reader, writer = os.pipe()
    counted = 0

    def read() -> None:
        nonlocal counted
        while chunk := os.read(reader, CHUNK_BYTES):
            counted += chunk.count(b"\n")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def count() -> int:
        nonlocal writer
        if writer >= 0:  # the server's copies closed as it ended; with this one closed, the reader sees the end
            os.close(writer)
            writer = -1
            thread.join()
        return counted

    try:
        yield LogSink(writer, count)
    finally:
        count()
        os.close(reader)


def _lines_from(path: Path, offset: int) -> int:
    count = 0
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            count += chunk.count(b"\n")
    return count

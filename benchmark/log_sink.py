"""Destinations for the output of a measured server: a file, or a pipe with a reader."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


class LogSink:
    """A destination for log lines. ``descriptor`` becomes the standard output of the server.

    The result of ``lines`` is complete after the server ends.
    """

    def __init__(self, descriptor: int, count: Callable[[], int]) -> None:
        self.descriptor = descriptor
        self._count = count

    def lines(self) -> int:
        """Return the number of lines that the server wrote."""
        return self._count()


@contextlib.contextmanager
def file_sink(path: Path, size: int = 0) -> Iterator[LogSink]:
    """Append to a sparse file that already has ``size`` bytes. They use no disk space."""
    path.touch()
    os.truncate(path, size)
    with path.open("ab") as file:
        yield LogSink(file.fileno(), lambda: _lines_from(path, size))
    path.unlink()


@contextlib.contextmanager
def pipe_sink() -> Iterator[LogSink]:
    """Write to a pipe with a fast reader, like a log collector."""
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
        if writer >= 0:  # the last copy after the server has ended: closing it ends the reader
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

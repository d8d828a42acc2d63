"""Standard output at the level of the kernel. Each write is small enough to stay in one piece."""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # a module on other systems

STDOUT = 1
PIPE_BYTES = 4096
"""Longest atomic write to a pipe: PIPE_BUF of pipe(7). Longer writes mix with those of other processes."""
_FILE_BYTES = 65536
_FULL_SECONDS = 0.02
"""The pause before the next try to write to a full pipe."""


def is_file() -> bool:
    """Tell whether standard output is a regular file, in which writes do not mix."""
    try:
        return stat.S_ISREG(os.fstat(STDOUT).st_mode)
    except OSError:  # closed
        return False


def use_append_mode() -> None:
    """Append to a regular file, so that lines go to its end even after logrotate truncated it."""
    if is_file() and hasattr(fcntl, "fcntl"):
        fcntl.fcntl(STDOUT, fcntl.F_SETFL, fcntl.fcntl(STDOUT, fcntl.F_GETFL) | os.O_APPEND)


def wait_for_room(seconds: float) -> bool:
    """Wait up to ``seconds`` for room for a piece. Tell whether there is room."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(STDOUT, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


class Output:
    """Writes lines, counts those that were dropped, and reports their number when it can write again.

    ``describe`` makes the line of a report, newline included. One thread at a time may write.
    """

    def __init__(self, describe: Callable[[int], bytes], dropped: int = 0) -> None:
        self.describe = describe
        self._rest = b""  # of a line that a full disk cut off; it must end before the next one begins
        self._lock = threading.RLock()  # a signal handler may log while its thread holds the lock
        self._unreported = 0
        self.dropped = dropped

    def drop(self, lines: int) -> None:
        """Count lines that are not written."""
        with self._lock:
            self.dropped += lines
            self._unreported += lines

    def write(self, lines: Iterable[bytes]) -> None:
        """Write, however long it takes. Drop the lines that the system refuses (no reader, no space)."""
        limit = _FILE_BYTES if is_file() else PIPE_BYTES
        lost = sum(map(self._write, _pieces(lines, limit)))
        untold = self._unreported
        if lost:
            self.drop(lost)
        elif untold and self._write(self.describe(untold)) == 0:
            with self._lock:
                self._unreported -= untold

    def _write(self, piece: bytes) -> int:
        """Return the number of lines that the system refused."""
        data = self._rest + piece
        view = memoryview(data)
        done = 0
        while done < len(data):
            try:
                done += os.write(STDOUT, view[done:])
            except BlockingIOError:  # another process that shares the descriptor made it non-blocking
                time.sleep(_FULL_SECONDS)
            except OSError:
                # A line is cut if the last written byte is no newline, or if nothing was written and an earlier cut
                # still waits. Its rest must go out first. Only the lines after it are lost.
                is_cut = data[done - 1] != ord("\n") if done else bool(self._rest)
                end = data.index(b"\n", done) + 1 if is_cut else done
                self._rest = data[done:end]
                return data.count(b"\n", end)
        self._rest = b""
        return 0


def _pieces(lines: Iterable[bytes], limit: int) -> Iterator[bytes]:
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) > limit and piece:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)

"""Standard output at the level of the kernel. Each write is small enough to stay in one piece."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # a module on other systems

STDOUT = 1
PIPE_BYTES = 4096
"""Longest atomic write to a pipe: PIPE_BUF of pipe(7). Longer writes mix with those of other processes."""
_FILE_BYTES = 65536
_FULL_SECONDS = 0.02
_target = STDOUT
"""The descriptor of the standard output that the process started with."""


def descriptor() -> int:
    """Return the descriptor for the lines of this process."""
    return _target


def move() -> None:
    """Write to a duplicate descriptor from now on, so that descriptor 1 can be replaced."""
    global _target  # noqa: PLW0603 - one per process
    _target = os.dup(STDOUT)


def is_file() -> bool:
    """Tell whether standard output is a regular file, in which writes do not mix."""
    try:
        return stat.S_ISREG(os.fstat(_target).st_mode)
    except OSError:  # closed
        return False


def append() -> None:
    """Append to a regular file, so that lines go to its end even after logrotate truncated it."""
    if is_file() and hasattr(fcntl, "fcntl"):
        fcntl.fcntl(_target, fcntl.F_SETFL, fcntl.fcntl(_target, fcntl.F_GETFL) | os.O_APPEND)


def takes_more(seconds: float) -> bool:
    """Wait up to ``seconds`` for room for a piece. Tell whether there is room."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(_target, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


class Output:
    """Writes lines, each with its newline. Not thread-safe."""

    def __init__(self) -> None:
        self._rest = b""  # of a line that was cut off; it must end before the next one begins

    def write(self, lines: Iterable[bytes]) -> int:
        """Write, however long it takes. Return the number of lines that the system refused (no reader, no space)."""
        lost = 0
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write(rest, in_a_line=True)
        for piece in _pieces(lines, _FILE_BYTES if is_file() else PIPE_BYTES):
            lost += piece.count(b"\n") if self._rest else self._write(piece)
        return lost

    def _write(self, piece: bytes, *, in_a_line: bool = False) -> int:
        view = memoryview(piece)
        is_rest = in_a_line
        while view:
            try:
                written = os.write(_target, view)
            except BlockingIOError:  # another process that shares the descriptor made it non-blocking
                time.sleep(_FULL_SECONDS)
            except OSError:
                left = bytes(view)
                if in_a_line and (is_rest or not _take_back(piece[: len(piece) - len(left)])):
                    self._rest, newline, left = left.partition(b"\n")
                    self._rest += newline
                return left.count(b"\n")
            else:
                in_a_line = view[written - 1] != ord("\n")
                view = view[written:]
        return 0


def _take_back(written: bytes) -> bool:
    """Remove a line that a full disk cut off. Return False if that is not possible.

    Other processes write to the same file, and would continue this line with theirs. Nothing follows it while the disk
    is full. If the file ends with other text, another process has already written.
    """
    fragment = written[written.rfind(b"\n") + 1 :]
    if not is_file():
        return False
    try:
        append()  # otherwise the next write would leave a hole
        file = os.open(f"/dev/fd/{_target}", os.O_RDONLY)  # stdout is often open for writing only
        try:
            start = os.fstat(file).st_size - len(fragment)
            if os.pread(file, len(fragment), start) != fragment:
                return False
            os.ftruncate(_target, start)
        finally:
            os.close(file)
    except OSError:
        return False
    return True


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

"""Standard output as the kernel has it: whole lines, in pieces that no other process can tear apart."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # a module elsewhere

STDOUT = 1
PIPE_BYTES = 4096
"""What a pipe takes in one piece: PIPE_BUF of pipe(7). Longer writes mix with those of other processes."""
_FILE_BYTES = 65536
_FULL_SECONDS = 0.02
_target = STDOUT
"""What standard output was when the process began."""


def descriptor() -> int:
    """Return the descriptor to which the lines of this process go."""
    return _target


def move() -> None:
    """Write to a descriptor of its own from now on, so that number 1 can become something else."""
    global _target  # noqa: PLW0603 - there is one
    _target = os.dup(STDOUT)


def is_file() -> bool:
    """Tell whether standard output is a regular file, in which no write mixes with another one."""
    try:
        return stat.S_ISREG(os.fstat(_target).st_mode)
    except OSError:  # closed
        return False


def append() -> None:
    """Have the lines go to the end of a regular file even if somebody has emptied it meanwhile, as logrotate does."""
    if is_file() and hasattr(fcntl, "fcntl"):
        fcntl.fcntl(_target, fcntl.F_SETFL, fcntl.fcntl(_target, fcntl.F_GETFL) | os.O_APPEND)


def takes_more(seconds: float) -> bool:
    """Tell whether a piece can be written within ``seconds`` without a wait."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(_target, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


class Output:
    """Writes lines, each with its newline. Not to be used by two threads at one time."""

    def __init__(self) -> None:
        self._rest = b""  # of a line that is cut off: it has to end before another one begins

    def write(self, lines: Iterable[bytes]) -> int:
        """Write as long as it takes; return how many lines the system refused (no reader, no space)."""
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
            except BlockingIOError:  # somebody who shares it has made it non-blocking
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
    """Remove the line that a full disk has cut off; return False where that cannot be done.

    Other processes write into the file, too, and know nothing of it: their next line would continue this one.
    While the disk is full none of them can have written after it; else the end of the file is another one.
    """
    fragment = written[written.rfind(b"\n") + 1 :]
    if not is_file():
        return False
    try:
        append()  # or a hole would be left
        file = os.open(f"/dev/fd/{_target}", os.O_RDONLY)  # what is open is often open for writing only
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

"""Where log lines go: standard output, one write a line."""

from __future__ import annotations

import os

_STDOUT = 1
_dropped = 0


def write_line(line: str) -> None:
    """Write one line, in one piece as far as the kernel allows: up to 4096 bytes into a pipe.

    A log that cannot be written (its reader is gone, the disk is full) fails no request.
    """
    data = memoryview(line.encode("utf-8", "backslashreplace") + b"\n")
    try:
        while data:
            data = data[os.write(_STDOUT, data) :]
    except OSError:
        global _dropped  # noqa: PLW0603 - there is one standard output
        _dropped += 1


def dropped() -> int:
    """Return how many lines this process could not write."""
    return _dropped

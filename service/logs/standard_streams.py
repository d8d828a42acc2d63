"""What is printed becomes log lines: by Gunicorn when it cannot start, by libraries, by a forgotten ``print()``."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import Any

from service.logs import sink
from service.logs.line import Fields, Lines

_TRACEBACK = "Traceback (most recent call last):"
_MAX_CHARACTERS = 1_000_000
"""Of text that nobody ends with a newline."""


class PrintedLines(io.TextIOBase):
    """Takes the place of ``sys.stdout`` or ``sys.stderr``: each line that is printed is the event of one log line.

    A traceback, from its first line to its last one, is one log line, too.
    """

    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self._write = write
        self._original = original
        self._printing = threading.local()  # what a thread has begun, another one does not continue

    @property
    def encoding(self) -> str:  # type: ignore[override] # the base class has None, and libraries ask
        """Return UTF-8."""
        return "utf-8"

    @property
    def buffer(self) -> object:
        """Return the bytes behind the original stream: what is written there, passes as it is."""
        return self._original.buffer

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the stream in whose place this stands, for child processes. May raise OSError."""
        return int(self._original.fileno())

    def write(self, text: str) -> int:
        """Write the lines that end in ``text``; keep the rest for the next call."""
        begun = getattr(self._printing, "line", "") + text
        *lines, rest = begun.split("\n") if len(begun) < _MAX_CHARACTERS else [begun, ""]
        self._printing.line = rest
        for line in lines:
            self._take(line)
        return len(text)

    def flush(self) -> None:
        """Write what has begun as if it had ended."""
        line, self._printing.line = getattr(self._printing, "line", ""), ""
        if line:
            self._take(line)
        traceback, self._printing.traceback = getattr(self._printing, "traceback", []), []
        if traceback:
            self._write(traceback[0], "\n".join(traceback))

    def _take(self, line: str) -> None:
        traceback: list[str] = getattr(self._printing, "traceback", [])
        if line.startswith(_TRACEBACK):
            self._printing.traceback = [line]
        elif traceback:
            traceback.append(line)
            if line and not line.startswith((" ", "\t")):  # the exception; what comes next is another traceback
                self._printing.traceback = []
                self._write(line, "\n".join(traceback))
        elif line.strip():
            self._write(line, "")


def log_what_is_printed(lines: Lines) -> None:
    """Turn what this process prints into log lines from now on: ``info`` from stdout, ``warning`` from stderr."""
    for name in ("stdout", "stderr"):
        original = getattr(sys, name)
        if isinstance(original, PrintedLines):
            original = original._original
        setattr(sys, name, PrintedLines(_writer(lines, name), original))


def _writer(lines: Lines, name: str) -> Callable[[str, str], None]:
    def write(event: str, traceback: str) -> None:
        fields: Fields = {"level": "info" if name == "stdout" else "warning", "event": event, "logger": name}
        if traceback:
            fields.update(level="error", traceback=traceback)
        sink.write_line(lines.make(fields))

    return write

"""What is printed becomes log lines: by Gunicorn when it cannot start, by libraries, by a forgotten ``print()``."""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask_ops.log import printed_text, sink
from flask_ops.log.line import Fields, Lines
from flask_ops.log.printed_text import PrintedText

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_NAMES = ("stdout", "stderr")


class PrintedLines(io.TextIOBase):
    """Takes the place of ``sys.stdout`` or ``sys.stderr``: each line that is printed is the event of one log line.

    A traceback, from its first line to its last one, is one log line, too. What else a stream has, it has from the
    original.
    """

    encoding = "utf-8"  # the base class has None, and libraries ask
    errors = "backslashreplace"

    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self._write = write
        self._original = original
        self._printing = threading.local()  # what a thread has begun, another one does not continue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    @property
    def buffer(self) -> Any:
        """Return a stream for bytes, which become log lines as text does; who closes it closes nothing else."""
        return _PrintedBytes(self)

    def detach(self) -> Any:
        """Return a stream for bytes: programs wrap it into another one for text."""
        return self.buffer

    def reconfigure(self, **_: object) -> None:
        """Change nothing: lines are UTF-8, and written when they end."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the stream in whose place this stands, for child processes. May raise OSError."""
        return int(self._original.fileno())

    def write(self, text: str) -> int:
        """Write the lines that end in ``text``; keep the rest for the next call."""
        self.text.add(text)
        return len(text)

    def flush(self) -> None:
        """Write what has begun as if it had ended."""
        self.text.end()

    def close(self) -> None:
        """Do nothing: others go on writing here."""

    @property
    def text(self) -> PrintedText:
        """Return what this thread prints."""
        try:
            text: PrintedText = self._printing.text
        except AttributeError:
            text = self._printing.text = PrintedText(self._write)
        return text

    def forget(self) -> None:
        """Forget what has begun: in a forked child, for its parent ends it."""
        self._printing = threading.local()


class _PrintedBytes(io.BufferedIOBase):
    def __init__(self, stream: PrintedLines) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: ReadableBuffer) -> int:
        data = bytes(data)
        self._stream.text.add_bytes(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass  # or a part of a line would be ended when this is no longer referred to


def log_what_is_printed(lines: Lines) -> None:
    """Turn what this process prints into log lines from now on: ``info`` from stdout, ``warning`` from stderr."""
    for name in _NAMES:
        original = getattr(sys, name)
        if isinstance(original, PrintedLines):
            original = original._original
        stream = PrintedLines(writer(lines, name), original)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)  # where programs go back to


def writer(
    lines: Lines, stream: str, more: Callable[[], dict[str, Any]] = dict[str, Any]
) -> Callable[[str, str], None]:
    """Return what writes an event of ``stream``, and the traceback that it may end, with the fields of ``more``."""

    def write(event: str, traceback: str) -> None:
        level = "info" if stream == "stdout" else "warning"
        fields: Fields = {"level": level, "event": event, "logger": stream, **more()}
        if traceback:
            fields.update(level="error", traceback=traceback)
        sink.write_line(lines.make(fields))

    return write


def _in_child() -> None:
    printed_text.unfinished.clear()
    for name in _NAMES:
        stream = getattr(sys, name)
        if isinstance(stream, PrintedLines):
            stream.forget()


atexit.register(printed_text.end_all)  # before the sink writes for the last time
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""Log lines from printed text: Gunicorn's errors at start, libraries, a forgotten ``print()``."""

from __future__ import annotations

import atexit
import io
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask_ops.core import forks
from flask_ops.log import printed_text, sink
from flask_ops.log.line import Fields, Lines
from flask_ops.log.printed_text import PrintedText

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_NAMES = ("stdout", "stderr")


class PrintedLines(io.TextIOBase):
    """Replaces ``sys.stdout`` or ``sys.stderr``, and turns each printed line into the event of a log line.

    A whole traceback becomes one log line, too. Other attributes come from the original stream.
    """

    encoding = "utf-8"  # libraries read it, and the base class has None
    errors = "backslashreplace"

    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self._write = write
        self._original = original
        self._printing = threading.local()  # threads must not continue each other's lines

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    @property
    def buffer(self) -> Any:
        """Return a stream for bytes, which become log lines, too. Closing it does not close this stream."""
        return _PrintedBytes(self)

    def detach(self) -> Any:
        """Return a stream for bytes. Programs wrap it in a text stream."""
        return self.buffer

    def reconfigure(self, **_: object) -> None:
        """Do nothing. Lines are always UTF-8, and written when they end."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the original stream, for child processes. May raise OSError."""
        return int(self._original.fileno())

    def write(self, text: str) -> int:
        """Write the lines that end in ``text``. Keep the rest for the next call."""
        self.text.add(text)
        return len(text)

    def flush(self) -> None:
        """Write the unfinished line and traceback."""
        self.text.end()

    def close(self) -> None:
        """Do nothing, because others still write here."""

    @property
    def text(self) -> PrintedText:
        """Return the text of this thread."""
        try:
            text: PrintedText = self._printing.text
        except AttributeError:
            text = self._printing.text = PrintedText(self._write)
        return text

    def forget(self) -> None:
        """Forget unfinished text, in a forked child. Its parent writes it."""
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
        pass  # garbage collection calls this, and flush() would end an unfinished line


def log_what_is_printed(lines: Lines) -> None:
    """Turn printed text into log lines from now on: ``info`` for stdout, ``warning`` for stderr."""
    for name in _NAMES:
        original = getattr(sys, name)
        if isinstance(original, PrintedLines):
            original = original._original
        stream = PrintedLines(writer(lines, name), original)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)  # programs restore the stream from here


def writer(
    lines: Lines, stream: str, more: Callable[[], dict[str, Any]] = dict[str, Any]
) -> Callable[[str, str], None]:
    """Return a function that writes an event of ``stream`` and its traceback, with the fields of ``more``."""

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
forks.in_child(_in_child)

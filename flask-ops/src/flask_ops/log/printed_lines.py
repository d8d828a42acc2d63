"""Log lines from printed text: Gunicorn's errors at start, libraries, a forgotten ``print()``."""

from __future__ import annotations

import atexit
import io
import re
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask_ops.core import forks
from flask_ops.log import sink
from flask_ops.log.line import Fields, Lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_TRACEBACK = "Traceback (most recent call last):"
_LOGURU = re.compile(r"[0-9-]+ [0-9:.]+ \| (TRACE|DEBUG|INFO|SUCCESS|WARNING|ERROR|CRITICAL) +\| ")
"""The beginning of a line in loguru's default format."""
_OTHER_LEVELS = {"TRACE": "debug", "SUCCESS": "info"}
_MAX_CHARACTERS = 1_000_000
"""Maximum length of a line without a newline."""

unfinished: set[PrintedText] = set()
"""Texts with an unfinished line or traceback. Usually empty."""


class PrintedText:
    """The text that one thread prints to one stream: threads must not continue each other's lines.

    Each line is an event, and so is each whole traceback. Calls ``write`` with the event and its traceback, which is
    empty for a plain line.
    """

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write
        self.thread = threading.current_thread()
        self._line = ""
        self._traceback: list[str] = []

    def add(self, text: str) -> None:
        """Write the lines that end in ``text``. Keep the rest for the next call."""
        begun = self._line + text
        *lines, self._line = begun.split("\n") if len(begun) < _MAX_CHARACTERS else [begun, ""]
        for line in lines:
            self._take(line)
        if self._line or self._traceback:
            unfinished.add(self)
        else:
            unfinished.discard(self)

    def end(self) -> None:
        """Write the unfinished line and traceback."""
        if self._line:
            self._take(self._line)
        traceback = self._traceback
        self.forget()
        if traceback:
            self._write(traceback[0], "\n".join(traceback))

    def forget(self) -> None:
        """Forget the unfinished line and traceback."""
        unfinished.discard(self)
        self._line, self._traceback = "", []

    def _take(self, line: str) -> None:
        if line.startswith(_TRACEBACK):
            self._traceback = [line]
        elif self._traceback:
            self._traceback.append(line)
            if line and not line.startswith((" ", "\t", ">")):  # the exception line, the last one; loguru marks with >
                traceback, self._traceback = self._traceback, []
                self._write(line, "\n".join(traceback))
        elif line.strip():
            self._write(line, "")


class PrintedLines(io.TextIOBase):
    """Replaces ``sys.stdout`` or ``sys.stderr``. Otherwise printed text would mix with the lines of JSON.

    Other attributes come from the original stream.
    """

    encoding = "utf-8"  # libraries read it, and the base class has None
    errors = "backslashreplace"

    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self._write = write
        self.original = original
        self._printing = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

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
        return int(self.original.fileno())

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


class _PrintedBytes(io.BufferedIOBase):
    def __init__(self, stream: PrintedLines) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: ReadableBuffer) -> int:
        data = bytes(data)
        self._stream.write(data.decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass  # garbage collection calls this, and flush() would end an unfinished line


def log_what_is_printed(lines: Lines) -> None:
    """Turn printed text into log lines from now on: ``info`` for stdout, ``warning`` for stderr."""
    for name in ("stdout", "stderr"):
        original = getattr(sys, name)
        if isinstance(original, PrintedLines):
            original = original.original
        stream = PrintedLines(_writer(lines, name), original)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)  # programs restore the stream from here


def _writer(lines: Lines, stream: str) -> Callable[[str, str], None]:
    def write(event: str, traceback: str) -> None:
        level = "info" if stream == "stdout" else "warning"
        if found := _LOGURU.match(event):
            level = _OTHER_LEVELS.get(found[1], found[1].lower())
        fields: Fields = {"level": level, "event": event, "logger": stream}
        if traceback:
            fields.update(level="error", traceback=traceback)
        sink.write_line(lines.make(fields))

    return write


def end_mine() -> None:
    """Write the unfinished texts of this thread and of ended threads."""
    thread = threading.current_thread()
    for text in list(unfinished):
        if text.thread is thread or not text.thread.is_alive():
            text.end()


def _end_all() -> None:
    for text in list(unfinished):
        text.end()


def _in_child() -> None:
    for text in list(unfinished):
        text.forget()  # the parent writes it


atexit.register(_end_all)  # before the sink writes for the last time
forks.in_child(_in_child)

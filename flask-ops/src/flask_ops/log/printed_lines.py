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

unfinished: dict[tuple[threading.Thread, _PrintedBytes], _Text] = {}
"""Texts with an unfinished line or traceback. Usually empty. Threads must not continue each other's lines."""


class PrintedLines(io.TextIOWrapper):
    """Replaces ``sys.stdout`` or ``sys.stderr``. Otherwise printed text would mix with the lines of JSON.

    Calls ``write`` with each event and its traceback, which is empty for a plain line.
    """

    mode = "w"  # Python's own streams have it

    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self.original = original
        super().__init__(_PrintedBytes(write, original), "utf-8", "backslashreplace", "\n", write_through=True)

    def detach(self) -> Any:
        """Return the stream for bytes. Programs wrap it in a text stream, while others still write here."""
        return self.buffer

    def reconfigure(self, **_: object) -> None:
        """Do nothing. Lines are always UTF-8, and written when they end."""

    def close(self) -> None:
        """Do nothing, because others still write here."""


class _PrintedBytes(io.BufferedIOBase):
    def __init__(self, write: Callable[[str, str], None], original: Any) -> None:
        self._write, self._original = write, original

    @property
    def name(self) -> str:
        return str(self._original.name)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._original.fileno())  # for child processes

    def write(self, data: ReadableBuffer) -> int:
        data = bytes(data)
        mine = threading.current_thread(), self
        text = unfinished.setdefault(mine, _Text(self._write))
        text.add(data.decode("utf-8", "backslashreplace"))
        if text.is_finished:
            unfinished.pop(mine, None)
        return len(data)

    def flush(self) -> None:
        """Write the unfinished line and traceback."""
        _end(threading.current_thread(), self)

    def close(self) -> None:
        pass  # garbage collection calls this, and flush() would end an unfinished line


class _Text:
    """The text that one thread prints to one stream. Each line is an event, and so is each whole traceback."""

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write
        self._line = ""
        self._traceback: list[str] = []

    @property
    def is_finished(self) -> bool:
        return not (self._line or self._traceback)

    def add(self, text: str) -> None:
        """Write the lines that end in ``text``. Keep the rest for the next call."""
        begun = self._line + text
        *lines, self._line = begun.split("\n") if len(begun) < _MAX_CHARACTERS else [begun, ""]
        for line in lines:
            self._take(line)

    def end(self) -> None:
        """Write the unfinished line and traceback."""
        if self._line:
            self._take(self._line)
        if self._traceback:
            self._write(self._traceback[0], "\n".join(self._traceback))

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
    for thread, stream in list(unfinished):
        if thread is threading.current_thread() or not thread.is_alive():
            _end(thread, stream)


def _end_all() -> None:
    for thread, stream in list(unfinished):
        _end(thread, stream)


def _end(thread: threading.Thread, stream: _PrintedBytes) -> None:
    text = unfinished.pop((thread, stream), None)
    if text is not None:
        text.end()


atexit.register(_end_all)  # before the sink writes for the last time
forks.in_child(unfinished.clear)  # the parent writes them

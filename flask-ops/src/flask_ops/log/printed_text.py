"""Text that is printed, of which each line becomes an event."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable

_TRACEBACK = "Traceback (most recent call last):"
_MAX_CHARACTERS = 1_000_000
"""Of text that nobody ends with a newline."""

unfinished: set[PrintedText] = set()
"""Texts of which a line or a traceback has begun and not ended. In the ordinary case there is none."""


class PrintedText:
    """What one thread prints into one stream: each line is an event, and so is a traceback as a whole.

    ``write`` is called with the event and, where it is the last line of a traceback, with that.
    """

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write
        self._thread = threading.current_thread()
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        self._line = ""
        self._traceback: list[str] = []

    def add(self, text: str) -> None:
        """Write the lines that end in ``text``; keep the rest for the next call."""
        begun = self._line + text
        *lines, self._line = begun.split("\n") if len(begun) < _MAX_CHARACTERS else [begun, ""]
        for line in lines:
            self._take(line)
        if self._line or self._traceback:
            unfinished.add(self)
        else:
            unfinished.discard(self)

    def add_bytes(self, data: bytes) -> None:
        """Do the same with bytes, which may end in the middle of a character."""
        self.add(self._decode(data))

    def end(self) -> None:
        """Write what has begun as if it had ended."""
        unfinished.discard(self)
        line, self._line = self._line, ""
        if line:
            self._take(line)
        traceback, self._traceback = self._traceback, []
        if traceback:
            self._write(traceback[0], "\n".join(traceback))

    def is_of(self, thread: threading.Thread) -> bool:
        """Tell whether ``thread``, or one that has ended, prints this."""
        return self._thread is thread or not self._thread.is_alive()

    def _take(self, line: str) -> None:
        if line.startswith(_TRACEBACK):
            self._traceback = [line]
        elif self._traceback:
            self._traceback.append(line)
            if line and not line.startswith((" ", "\t")):  # the exception; what comes next is another traceback
                traceback, self._traceback = self._traceback, []
                self._write(line, "\n".join(traceback))
        elif line.strip():
            self._write(line, "")


def end_mine() -> None:
    """Write what this thread has begun to print, and what threads had that are no more."""
    thread = threading.current_thread()
    for text in list(unfinished):
        if text.is_of(thread):
            text.end()


def end_all() -> None:
    """Write what any thread has begun to print."""
    for text in list(unfinished):
        text.end()

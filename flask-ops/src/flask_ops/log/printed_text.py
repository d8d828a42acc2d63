"""Printed text, split into one event per line."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable

_TRACEBACK = "Traceback (most recent call last):"
_MAX_CHARACTERS = 1_000_000
"""Maximum length of a line without a newline."""

unfinished: set[PrintedText] = set()
"""Texts with an unfinished line or traceback. Usually empty."""


class PrintedText:
    """The text that one thread prints to one stream. Each line is an event, and so is each whole traceback.

    Calls ``write`` with the event and its traceback, which is empty for a plain line.
    """

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write
        self._thread = threading.current_thread()
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
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

    def add_bytes(self, data: bytes) -> None:
        """Do the same for bytes, which may end in the middle of a character."""
        self.add(self._decode(data))

    def end(self) -> None:
        """Write the unfinished line and traceback."""
        unfinished.discard(self)
        line, self._line = self._line, ""
        if line:
            self._take(line)
        traceback, self._traceback = self._traceback, []
        if traceback:
            self._write(traceback[0], "\n".join(traceback))

    def is_of(self, thread: threading.Thread) -> bool:
        """Tell whether ``thread``, or an ended thread, printed this."""
        return self._thread is thread or not self._thread.is_alive()

    def _take(self, line: str) -> None:
        if line.startswith(_TRACEBACK):
            self._traceback = [line]
        elif self._traceback:
            self._traceback.append(line)
            if line and not line.startswith((" ", "\t")):  # the exception line, the last one of a traceback
                traceback, self._traceback = self._traceback, []
                self._write(line, "\n".join(traceback))
        elif line.strip():
            self._write(line, "")


def end_mine() -> None:
    """Write the unfinished texts of this thread and of ended threads."""
    thread = threading.current_thread()
    for text in list(unfinished):
        if text.is_of(thread):
            text.end()


def end_all() -> None:
    """Write the unfinished texts of all threads."""
    for text in list(unfinished):
        text.end()

"""The conversion of raw output of workers on descriptors 1 and 2 into log lines.

Compiled code, child processes, and a crashing interpreter write there without Python. Without this module, their text
would mix with the log lines. Each worker has two pipes in place of these descriptors, and a thread of the master reads
them. The worker's own log keeps the original standard output.

The master keeps its descriptors. It runs only code of Gunicorn and the service, and passes them to the next master
(SIGUSR2). If it wrote to a full pipe that it reads itself, it would hang.
"""

from __future__ import annotations

import atexit
import os
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

from flask_ops.core.fork_gate import FORK_GATE
from flask_ops.log import output, printed_lines, sink
from flask_ops.log.line import Lines
from flask_ops.log.printed_lines import PrintedText, writer

IDLE_SECONDS = 1.0
"""After this pause, an unfinished line counts as complete."""
_READ_BYTES = 16384
"""Maximum bytes per read. A fork waits until the lines in them are logged."""
_STREAMS = {"stdout": 1, "stderr": 2}


class RawOutput:
    """Reads the output of children. Create one per process: it registers fork hooks."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._texts: dict[int, PrintedText] = {}  # by the reading end of their pipe
        self._of_child: dict[int, int] = {}  # for the next child: standard descriptor to pipe
        self._selector = selectors.DefaultSelector()
        self._wake: tuple[int, ...] = os.pipe()
        self._selector.register(self._wake[0], selectors.EVENT_READ)
        os.register_at_fork(after_in_parent=self._forked, after_in_child=self._in_child)
        self._thread = threading.Thread(target=self._run, name="raw output", daemon=True)
        self._thread.start()
        atexit.register(self._stop)  # runs before the flush of the log, which was registered earlier

    def expect_child(self, fields: Callable[[], dict[str, Any]]) -> None:
        """Read the output of the next child. Call ``fields`` for the fields of each line."""
        self._forked()  # in case the last fork failed
        for name, number in _STREAMS.items():
            try:
                reader, self._of_child[number] = os.pipe()
            except OSError:  # no descriptor left: the child keeps the master's
                continue
            self._texts[reader] = PrintedText(writer(self._lines, name, fields))
            self._selector.register(reader, selectors.EVENT_READ)

    def _run(self) -> None:
        with FORK_GATE.member(lambda: None):
            try:
                while self._wake[0] not in self._read(IDLE_SECONDS if self._has_unfinished() else None):
                    pass
                end = time.monotonic() + sink.FLUSH_SECONDS / 2
                while time.monotonic() < end and self._read(0) != {self._wake[0]}:
                    pass  # read the rest; the limit is for a surviving grandchild, which may write for ever
            finally:
                for reader in list(self._texts):  # a full pipe without a reader would block its writers
                    self._close(reader)

    def _read(self, seconds: float | None) -> set[int]:
        """Wait up to ``seconds`` for output and read it. Return the ready descriptors."""
        with FORK_GATE.waiting():
            ready = {key.fd for key, _ in self._selector.select(seconds)}
        if not ready:
            for text in list(self._texts.values()):
                text.end()
        for reader in ready - {self._wake[0]}:
            data = os.read(reader, _READ_BYTES)
            if data:
                self._texts[reader].add_bytes(data)
            else:
                self._close(reader)
        return ready

    def _has_unfinished(self) -> bool:
        return not printed_lines.unfinished.isdisjoint(list(self._texts.values()))

    def _close(self, reader: int) -> None:
        self._selector.unregister(reader)
        self._texts.pop(reader).end()  # before the number is reused: a child closes all numbers in _texts
        os.close(reader)

    def _stop(self) -> None:
        os.write(self._wake[1], b"\0")
        self._thread.join(sink.FLUSH_SECONDS)

    def _forked(self) -> None:
        descriptors, self._of_child = self._of_child, {}
        for descriptor in descriptors.values():
            os.close(descriptor)

    def _in_child(self) -> None:
        descriptors, self._of_child = self._of_child, {}
        mine, self._texts, self._wake = [*self._texts, *self._wake], {}, ()
        if mine:  # empty in a grandchild
            self._selector.close()
            atexit.unregister(self._stop)
        for descriptor in mine:
            os.close(descriptor)
        if descriptors:
            output.move()
        for number, descriptor in descriptors.items():
            os.dup2(descriptor, number)
            os.close(descriptor)

"""What workers write to descriptors 1 and 2 past Python becomes log lines.

Compiled code does so, child processes, and the interpreter as it crashes. Each worker has two pipes in the place of
these descriptors, which a thread of the master reads; what was standard output is left to the worker's own log. The
master has both as they were: it runs no code but Gunicorn's and the service's, hands them on to the next master
(SIGUSR2), and would wait for itself, were a pipe full that it has to read.
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
from flask_ops.log import output, printed_text, sink
from flask_ops.log.line import Lines
from flask_ops.log.printed_text import PrintedText
from flask_ops.log.standard_streams import writer

IDLE_SECONDS = 1.0
"""A line that does not go on for so long has ended."""
_READ_BYTES = 16384
"""At once; a fork waits for the lines that are in there."""
_STREAMS = {"stdout": 1, "stderr": 2}


class RawOutput:
    """Reads what children write. One in a process: it registers fork hooks."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._texts: dict[int, PrintedText] = {}  # by the reading end of their pipe
        self._of_child: dict[int, int] = {}  # descriptors of the next child: what is to become what
        self._selector = selectors.DefaultSelector()
        self._wake: tuple[int, ...] = os.pipe()
        self._selector.register(self._wake[0], selectors.EVENT_READ)
        os.register_at_fork(after_in_parent=self._forked, after_in_child=self._in_child)
        self._thread = threading.Thread(target=self._run, name="raw output", daemon=True)
        self._thread.start()
        atexit.register(self._stop)  # before the log is flushed, which was registered first

    def expect_child(self, fields: Callable[[], dict[str, Any]]) -> None:
        """Read what the child of the next fork writes; its lines have the fields that ``fields`` returns then."""
        self._forked()  # where the fork before has failed
        for name, number in _STREAMS.items():
            try:
                reader, self._of_child[number] = os.pipe()
            except OSError:  # no descriptor is left; the child's is that of the master then
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
                    pass  # what was written before the end; a grandchild that lives on may write without one
            finally:
                for reader in list(self._texts):  # a pipe that nobody reads would hold up who writes
                    self._close(reader)

    def _read(self, seconds: float | None) -> set[int]:
        """Read what is there or comes within ``seconds``; return the descriptors that were ready."""
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
        return not printed_text.unfinished.isdisjoint(list(self._texts.values()))

    def _close(self, reader: int) -> None:
        self._selector.unregister(reader)
        self._texts.pop(reader).end()  # before its number is another file's: a child closes those that are here
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
        if mine:  # else it is a child's child
            self._selector.close()
            atexit.unregister(self._stop)
        for descriptor in mine:
            os.close(descriptor)
        if descriptors:
            output.move()
        for number, descriptor in descriptors.items():
            os.dup2(descriptor, number)
            os.close(descriptor)

"""A thread that writes lines, so that a log call does not wait for the log's reader."""

from __future__ import annotations

import threading
from collections import deque

from flask_ops.log.output import Output

LINGER_SECONDS = 0.05
"""How long the thread collects lines after a write. Under load, this costs a tenth of one write per line. The first
line after silence is written at once. A killed process loses the lines of this time."""


class LineWriter:
    """Writes the lines that were ``put``, in order. Buffers up to ``limit`` bytes, and drops further lines."""

    def __init__(self, output: Output, limit: int) -> None:
        self._output, self._limit = output, limit
        self._lock = threading.RLock()  # a signal handler may log while its thread holds the lock
        self._lines: deque[bytes] = deque()
        self._bytes = 0  # waiting or being written
        self._busy = False
        self._work = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        self._hurry = threading.Event()
        threading.Thread(target=self._run, name="log writer", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue ``line``, which ends with its newline. Never waits."""
        with self._lock:
            if self._bytes + len(line) > self._limit:
                self._output.drop(1)
                return
            self._lines.append(line)
            self._bytes += len(line)
            if self._busy:
                return
            self._busy = True
        self._idle.clear()
        self._work.release()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written. Return False if it takes longer than ``seconds``."""
        self._idle.clear()
        self._hurry.set()
        self._work.release()
        try:
            return self._idle.wait(seconds)
        finally:
            self._hurry.clear()

    def _run(self) -> None:
        while True:
            self._work.acquire()
            while self._write_waiting():
                self._hurry.wait(LINGER_SECONDS)

    def _write_waiting(self) -> bool:
        """Write all waiting lines. Return False if there are none."""
        with self._lock:
            lines, self._lines = self._lines, deque()
            if not lines:
                self._busy = False
                self._idle.set()
                return False
        self._output.write(lines)
        with self._lock:
            self._bytes -= sum(map(len, lines))
        return True

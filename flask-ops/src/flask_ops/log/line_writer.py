"""A thread that writes lines, so that a log call does not wait for the log's reader."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from flask_ops.log.output import Output

LINGER_SECONDS = 0.05
"""How long the thread collects lines after a write. Under load, this costs a tenth of one write per line. The first
line after silence is written at once. A killed process loses the lines of this time."""


class LineWriter:
    """Writes the lines that were ``put``, in order. Buffers up to ``limit`` bytes, and drops further lines.

    ``describe`` makes the line, newline included, with the number of dropped lines.
    """

    def __init__(self, output: Output, limit: int, describe: Callable[[int], bytes]) -> None:
        self._output, self._limit, self._describe = output, limit, describe
        self._lock = threading.RLock()  # a signal handler may log while its thread holds the lock
        self._lines: deque[bytes] = deque()
        self._bytes = 0  # waiting or being written
        self._untold = 0  # lines dropped for lack of room and not reported yet
        self._refused = 0  # lines that the system refused, not reported yet
        self._busy = False
        self._work = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        self._hurry = threading.Event()
        self.dropped = 0
        threading.Thread(target=self._run, name="log writer", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue ``line``, which ends with its newline. Never waits."""
        with self._lock:
            if self._bytes + len(line) > self._limit:
                self.dropped += 1
                self._untold += 1
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
            untold, self._untold = self._untold, 0
            if not lines and not untold:
                self._busy = False
                self._idle.set()
                return False
        size, count = sum(map(len, lines)), len(lines)
        if self._refused and self._tell(self._refused):
            self._refused = 0
        lost = count if self._refused else self._output.write(lines)
        self._refused += lost
        if untold and (self._refused or not self._tell(untold)):
            self._refused += untold
        with self._lock:
            self._bytes -= size
            self.dropped += lost
        return True

    def _tell(self, dropped: int) -> bool:
        return self._output.write([self._describe(dropped)]) == 0

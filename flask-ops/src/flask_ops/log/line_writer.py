"""A thread that writes lines, so that nobody who logs one waits for who reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from flask_ops.log.output import Output

LINGER_SECONDS = 0.05
"""How long lines are gathered after a write: under load that costs a tenth of one write for each. The first
line after silence is written at once. So much is what a process that is killed loses."""


class LineWriter:
    """Writes what is ``put`` in its order; up to ``limit`` bytes wait, what comes beyond is dropped.

    ``describe`` makes the line, newline included, that says how many lines were dropped.
    """

    def __init__(self, output: Output, limit: int, describe: Callable[[int], bytes]) -> None:
        self._output, self._limit, self._describe = output, limit, describe
        self._lock = threading.RLock()  # a signal handler may log while its thread is in here
        self._lines: deque[bytes] = deque()
        self._bytes = 0  # that wait or are being written
        self._untold = 0  # lines that had no room since the last line that said so
        self._refused = 0  # lines that the system did not take, of which no line could tell yet
        self._busy = False
        self._work = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        self._hurry = threading.Event()
        self.dropped = 0
        threading.Thread(target=self._run, name="log writer", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Have ``line``, which ends with its newline, written. Never waits."""
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
        """Wait until everything is written; return False where ``seconds`` were not enough."""
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
        """Write all lines that wait; return False where there were none."""
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

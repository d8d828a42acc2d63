"""Whether the processes of this server are to get rid of their clients: before a stop, or because an operator said so.

The state is one page of memory that a server's master shares with the workers it forks, so that each
request can look at it at no cost and no worker is told late.
"""

from __future__ import annotations

import mmap
import time

SERVING, DRAINING, STOPPING = range(3)


class Drain:
    """Serving; draining, which can be taken back; stopping, which cannot.

    While it is not serving, readiness is 503 and each response asks its client to close the
    connection; every request is answered all the same.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._since = 0.0

    def __bool__(self) -> bool:
        return self._page[0] != SERVING

    @property
    def is_final(self) -> bool:
        """True where the server is on its way to its end."""
        return self._page[0] == STOPPING

    @property
    def seconds(self) -> float:
        """How long it has lasted, 0 while serving. Known to the process that has begun it."""
        return time.monotonic() - self._since if self else 0.0

    def begin(self, *, final: bool = False) -> None:
        """Drain; if it is ``final``, until the end. What is final stays so."""
        if not self:
            self._since = time.monotonic()
        if final or not self.is_final:
            self._page[0] = STOPPING if final else DRAINING

    def end(self) -> bool:
        """Serve again; return False where that is too late."""
        if self.is_final:
            return False
        self._page[0] = SERVING
        return True


DRAIN = Drain()
"""The one of this server. A fork shares it, an exec (SIGUSR2) has its own."""

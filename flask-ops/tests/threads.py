"""Threads that run in the background of a test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator

from tests.process import DEADLINE


@contextlib.contextmanager
def meanwhile(targets: Iterable[Callable[[], object]], over: threading.Event) -> Iterator[None]:
    """Run each of ``targets`` in a thread during the block.

    At its end, set ``over``, which they watch, and join them.
    """
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(DEADLINE)

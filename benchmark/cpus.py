"""The CPUs of a server and of its load.

Without this split, ten times the load would take the CPU time that the server needs for its capacity.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Set


def halves() -> tuple[Set[int], Set[int]]:
    """Return the CPUs for a server, and those for its load. With one CPU, they share it."""
    cpus = sorted(os.sched_getaffinity(0))
    half = len(cpus) // 2
    return {*cpus[half:]}, {*(cpus[:half] or cpus)}


@contextlib.contextmanager
def on(cpus: Set[int]) -> Iterator[None]:
    """Run this thread, and the threads and processes that it starts in the block, on these CPUs only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

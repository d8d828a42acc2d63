"""Locks that the kernel gives back when their last owner ends, however it ends."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves and nothing is shared
    fcntl = None  # type: ignore[assignment] # a module elsewhere

_held: dict[int, int] = {}
"""The slots that this process, Gunicorn's master, has taken for its children: number to descriptor."""


def hold_shared(path: Path, *, if_unused: Callable[[], None]) -> int:
    """Lock ``path`` together with all others who do; return the descriptor that holds the lock.

    Where nobody had it, ``if_unused`` is called first, while nobody else can get it.
    """
    descriptor = _open(path)
    if _lock(descriptor, fcntl.LOCK_EX):
        if_unused()
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_free(path: Path, *, if_missing: bool) -> bool:
    """Tell whether nobody holds the lock ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return if_missing
    try:
        return _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def take(directory: Path) -> int:
    """Lock the lowest slot that is free, of any server that shares ``directory``; return its number.

    The lock is inherited by the process that is forked next, and given back when both have let go.
    """
    for number in itertools.count(1):
        descriptor = _open(directory / f"slot-{number}")
        if _lock(descriptor, fcntl.LOCK_EX):
            _held[number] = descriptor
            return number
        os.close(descriptor)
    raise AssertionError("unreachable")


def keep_only(mine: int) -> None:
    """In a child: let go of what the parent holds for its other children, who may end before this one."""
    for number in [number for number in _held if number != mine]:
        os.close(_held.pop(number))


def release(numbers: Collection[int]) -> None:
    """In the parent: let go of the slots of children that have ended."""
    for number in numbers:
        if number in _held:
            os.close(_held.pop(number))


def held() -> set[int]:
    """Return the slots that this process has taken and not released."""
    return set(_held)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

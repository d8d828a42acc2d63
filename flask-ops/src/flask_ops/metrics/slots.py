"""Locks that the kernel gives back when their last owner ends, however it ends."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Collection
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves and nothing is shared
    fcntl = None  # type: ignore[assignment] # a module elsewhere

STRAY = "p"
"""What the names begin with that are not taken to serve, but by what a worker has forked."""
_FILE = "slot-"
_held: dict[str, int] = {}
"""The slots that this process has taken, for itself or for the children it is to fork: name to descriptor."""


def hold_shared(path: Path, *, if_unused: Callable[[], None]) -> int:
    """Lock ``path`` together with all others who do; return the descriptor that holds the lock.

    Where nobody had it, ``if_unused`` is called first, while nobody else can get it. Raises FileNotFoundError where
    somebody has found it unused meanwhile, and removed it.
    """
    descriptor = _open(path)
    if _lock(descriptor, fcntl.LOCK_EX):
        if_unused()
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        # systemd-tmpfiles, which removes what is old in /tmp, leaves a folder alone that is locked.
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not os.path.samestat(path.stat(), os.fstat(descriptor)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except OSError:
        os.close(descriptor)
        raise
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


def visit_free(directory: Path, visit: Callable[[str], None]) -> None:
    """Call ``visit`` with the name of each slot that was signed and that nobody holds, while nobody can take it."""
    for path in directory.iterdir():
        if path.name.startswith(_FILE) and path.stat().st_size:
            descriptor = _open(path)
            try:
                if _lock(descriptor, fcntl.LOCK_EX):
                    visit(path.name.removeprefix(_FILE))
                    os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)


def take(directory: Path, prefix: str = "") -> str:
    """Lock the first slot that is free, of any server that shares ``directory``; return its name, a number.

    The lock is inherited by the process that is forked next, and given back when both have let go.
    """
    for number in itertools.count(1):
        name = f"{prefix}{number}"
        descriptor = _open(directory / f"{_FILE}{name}")
        if _lock(descriptor, fcntl.LOCK_EX):
            os.ftruncate(descriptor, 0)
            _held[name] = descriptor
            return name
        os.close(descriptor)
    raise AssertionError("unreachable")


def sign(name: str, role: str) -> None:
    """Say of the slot ``name``, which this process holds, that it is its own, and what it is there."""
    os.pwrite(_held[name], f"{role} {os.getpid()}\n".encode(), 0)


def signed(directory: Path, role: str) -> set[int]:
    """Return the pids of those in ``directory`` that are this; ones that were killed just now may be among them."""
    found = set()
    for path in directory.iterdir():
        if path.name.startswith(_FILE):
            word, _, pid = path.read_text(encoding="ascii", errors="replace").partition(" ")
            if word == role and pid.strip().isdecimal():
                found.add(int(pid))
    return found


def keep_only(*mine: str) -> None:
    """In a child: let go of what the parent holds for its other children, who may end before this one."""
    for name in [name for name in _held if name not in mine]:
        os.close(_held.pop(name))


def release(names: Collection[str]) -> None:
    """In the parent: let go of the slots of children that have ended."""
    for name in names:
        if name in _held:
            os.ftruncate(_held[name], 0)
            os.close(_held.pop(name))


def held() -> set[str]:
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

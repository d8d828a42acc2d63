"""Slots: file locks that name the processes of a server.

The kernel releases a lock when its last owner ends, even after a SIGKILL. So the name of a killed process is free.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Collection
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one process serves, and nothing is shared
    fcntl = None  # type: ignore[assignment] # a module on other systems

STRAY = "p"
"""Prefix of the slots of processes that a worker forked. They do not serve."""
_FILE = "slot-"
_held: dict[str, int] = {}
"""The slots that this process took, for itself or for its future children: name to descriptor."""


def hold_shared(path: Path, *, if_unused: Callable[[], None]) -> int:
    """Take a shared lock on ``path``; return the descriptor that holds it.

    If no other process holds the lock, call ``if_unused`` first, under an exclusive lock. Raises FileNotFoundError if
    another process has found ``path`` unused and removed it meanwhile.
    """
    descriptor = _open(path)
    if _lock(descriptor, fcntl.LOCK_EX):
        if_unused()
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        # systemd-tmpfiles removes old files in /tmp, but skips a locked folder.
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not os.path.samestat(path.stat(), os.fstat(descriptor)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_free(path: Path, *, if_missing: bool) -> bool:
    """Tell whether no process holds the lock ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return if_missing
    try:
        return _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def visit_free(directory: Path, visit: Callable[[str], None]) -> None:
    """Lock each signed slot that no process holds, and call ``visit`` with its name."""
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
    """Lock the first free slot in ``directory``, which servers may share; return its name, ``prefix`` and a number.

    A child that is forked next inherits the lock. The slot is free when both have released it.
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
    """Write the role and the pid of this process into its slot ``name``."""
    os.pwrite(_held[name], f"{role} {os.getpid()}\n".encode(), 0)


def signed(directory: Path, role: str) -> set[int]:
    """Return the pids of the processes that signed as ``role``. Some may have been killed just now."""
    found = set()
    for path in directory.iterdir():
        if path.name.startswith(_FILE):
            word, _, pid = path.read_text(encoding="ascii", errors="replace").partition(" ")
            if word == role and pid.strip().isdecimal():
                found.add(int(pid))
    return found


def keep_only(*mine: str) -> None:
    """Release, in a child, the slots of other children. Otherwise they would stay locked after their owners end."""
    for name in [name for name in _held if name not in mine]:
        os.close(_held.pop(name))


def release(names: Collection[str]) -> None:
    """Release, in the parent, the slots of children that have ended."""
    for name in names:
        if name in _held:
            os.ftruncate(_held[name], 0)
            os.close(_held.pop(name))


def held() -> set[str]:
    """Return the slots that this process took and has not released."""
    return set(_held)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

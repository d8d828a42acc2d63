"""Slots: file locks that name the processes of a server.

The kernel releases a lock when its last owner ends, even after a SIGKILL. So the name of a killed process is free.
Without them, each new process would add files to the store.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one process serves, and nothing is shared
    fcntl = None  # type: ignore[assignment] # a module on other systems

STRAY = "p"
"""Prefix of the slots of processes that a worker forked. They do not serve."""
_FILE = "slot-"


def take(directory: Path, prefix: str = "") -> tuple[str, int]:
    """Lock the first free slot in ``directory``, which servers may share.

    Return its name, ``prefix`` and a number, and the descriptor that holds the lock. A child that is forked next
    inherits the lock. The slot is free when both have released it.
    """
    for number in itertools.count(1):
        name = f"{prefix}{number}"
        descriptor = _open(directory / f"{_FILE}{name}")
        if _lock(descriptor, fcntl.LOCK_EX):
            os.ftruncate(descriptor, 0)
            return name, descriptor
        os.close(descriptor)
    raise AssertionError("unreachable")


def signed(directory: Path, role: str) -> set[int]:
    """Return the pids of the processes that signed as ``role``. Some may have been killed just now."""
    found = set()
    for path in _files(directory):
        word, _, pid = path.read_text(encoding="ascii", errors="replace").partition(" ")
        if word == role and pid.strip().isdecimal():
            found.add(int(pid))
    return found


def visit_free(directory: Path, visit: Callable[[str], None]) -> None:
    """Lock each signed slot that no process holds, and call ``visit`` with its name."""
    for path in _files(directory):
        if path.stat().st_size:
            descriptor = _open(path)
            try:
                if _lock(descriptor, fcntl.LOCK_EX):
                    visit(path.name.removeprefix(_FILE))
                    os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)


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


def is_free(path: Path) -> bool:
    """Tell whether no process holds the lock ``path``. Raises FileNotFoundError if it does not exist."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith(_FILE)]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

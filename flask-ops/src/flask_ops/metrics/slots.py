"""Slots: file locks that name the processes that serve, and Gunicorn's master.

The kernel releases a lock when its last owner ends, even after a SIGKILL. So the name of a killed process is free.
Without them, each new worker would add files to the store.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flask_ops.core import multiprocess

try:
    import fcntl
except ImportError:  # Windows: one process serves, and nothing is shared
    fcntl = None  # type: ignore[assignment] # a module on other systems

PREFIX = "s"
"""The first letter of each slot. The name of every other process begins with its pid."""
_FILE = "slot-"


def take(directory: Path) -> tuple[str, int]:
    """Lock the first free slot in ``directory``, which servers may share.

    Return its name and the descriptor that holds the lock. A child that is forked next inherits the lock. The slot is
    free when both have released it.
    """
    for number in itertools.count(1):
        name = f"{PREFIX}{number}"
        descriptor = _open(directory / f"{_FILE}{name}")
        if _lock(descriptor, fcntl.LOCK_EX):
            os.ftruncate(descriptor, 0)
            return name, descriptor
        os.close(descriptor)
    raise AssertionError("unreachable")


def signed(directory: Path, role: str) -> set[int]:
    """Return the pids of the processes that signed as ``role``. Some may have been killed just now."""
    found = set()
    for path in _all(directory):
        word, _, pid = path.read_text(encoding="ascii", errors="replace").partition(" ")
        if word == role and pid.strip().isdecimal():
            found.add(int(pid))
    return found


def visit_free(directory: Path, visit: Callable[[str], None]) -> None:
    """Lock each signed slot that no process holds, and call ``visit`` with its name."""
    for path in _all(directory):
        if path.stat().st_size:
            with locked(path, shared=False) as is_free:
                if is_free:
                    visit(path.name.removeprefix(_FILE))
                    os.truncate(path, 0)


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


@contextlib.contextmanager
def locked(path: Path, *, shared: bool) -> Iterator[bool]:
    """Hold a lock on ``path`` during the block, which gets False if the lock is not free.

    A shared lock waits for an exclusive one, but no longer than a second, because its process may be suspended.
    """
    end = time.monotonic() + (1 if shared else 0)
    descriptor = _open(path)
    try:
        while not (is_mine := _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)) and time.monotonic() < end:
            time.sleep(0.001)
        yield is_mine
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor, too
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Tell whether no process holds the lock ``path``. Raises FileNotFoundError if it does not exist."""
    descriptor = multiprocess.open_own(path, os.O_RDWR)
    try:
        return _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _all(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith(_FILE)]


def _open(path: Path) -> int:
    descriptor = multiprocess.open_own(path, os.O_RDWR | os.O_CREAT)
    if os.geteuid() == 0:  # workers that changed to another user read and lock the files of a master that is root
        folder = path.parent.stat()
        with contextlib.suppress(OSError):  # root without that capability
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

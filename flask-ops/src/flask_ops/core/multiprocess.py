"""The folder that all processes of one server share, and the space in it. prometheus_client's variable names it.

Without the reserved space, a full disk would end a process by SIGBUS when it writes to a file mapped into memory.

No other user may be able to change the folder. Otherwise such a user could put links there, and have files of this user
overwritten.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CURE = "Use a folder that belongs to this user and has the mode 0700. One that does not exist is made."


class UnsafeStoreError(PermissionError):
    """Another user can change the folder. ``strerror`` says how, and ``filename`` is the folder."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(errno.EPERM, reason, str(folder))


def is_shared() -> bool:
    """Tell whether several processes share their metrics."""
    return bool(os.environ.get(VARIABLE))


def directory() -> Path:
    """Return the folder of the store. Raises KeyError if there is none."""
    return Path(os.environ[VARIABLE])


def distrust(folder: Path, *users: int) -> str | None:
    """Return the reason why another user than ``users`` could change the contents of ``folder``. None if none could."""
    status = folder.stat()
    for owner in (folder.lstat().st_uid, status.st_uid):  # the folder may be a link
        if owner not in users:
            return f"it belongs to the user {owner}, not to {users[0]}"
    if status.st_mode & 0o022:
        return f"other users may write to it, its mode is {stat.S_IMODE(status.st_mode):04o}"
    return None


def open_own(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open a file of the folder, and return the descriptor. Raises UnsafeStoreError for a link of any kind."""
    file = Path(path)
    try:
        descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError:
        if file.is_symlink():
            raise UnsafeStoreError(file.parent, f"{file.name} in it is a link") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise UnsafeStoreError(file.parent, f"{file.name} in it is a link, or no file")
    return descriptor


def publish(path: Path, content: bytes) -> None:
    """Write a file of the folder. Readers find the old content or the new one, and nothing between."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with new.open("xb") as file:  # follows no link, which a worker of another user than the master could make
        file.write(content)
    new.replace(path)


def reserve(folder: Path, size: int) -> None:
    """Allocate ``size`` bytes in an unnamed file and free them again. Respects quotas. Raises OSError."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            allocate(file.fileno(), size)
    except OSError as error:
        error.filename = str(folder)
        raise


def allocate(descriptor: int, size: int) -> None:
    """Allocate ``size`` bytes on disk for an open file. Raises OSError if the disk is full."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:  # unsupported by the file system, with musl libc
            raise

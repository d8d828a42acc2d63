"""The folder that all processes of one server share, and the space in it. prometheus_client's variable names it.

Without the reserved space, a full disk would end a process by SIGBUS when it writes to a file mapped into memory.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def is_shared() -> bool:
    """Tell whether several processes share their metrics."""
    return bool(os.environ.get(VARIABLE))


def directory() -> Path:
    """Return the folder of the store. Raises KeyError if there is none."""
    return Path(os.environ[VARIABLE])


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

"""Room on a disk, taken before it is needed."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def reserve(folder: Path, size: int) -> None:
    """Take so many bytes in a file without a name and give them back; quotas count here, too. Raises OSError."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            allocate(file.fileno(), size)
    except OSError as error:
        error.filename = str(folder)
        raise


def allocate(descriptor: int, size: int) -> None:
    """Make ``size`` bytes of an open file the disk's. Raises OSError where it has no room for them."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:  # a file system that cannot, with musl as the C library
            raise

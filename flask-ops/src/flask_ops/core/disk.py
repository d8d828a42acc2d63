"""Disk space, reserved before it is needed."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


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

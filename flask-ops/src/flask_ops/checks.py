"""Readiness checks that most services need: ``CHECKS.add()(temporary_directory)``."""

from __future__ import annotations

import os
import shutil
import tempfile

from flask_ops.log import output

__all__ = ["MIN_FREE_BYTES", "log_directory", "temporary_directory"]

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Below this, uploads, the metrics store and the log are about to fail."""


def temporary_directory() -> None:
    """Raise OSError if temporary files cannot be written any more."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < MIN_FREE_BYTES:
        raise OSError(f"{free} bytes are free in {tempfile.gettempdir()}")


def log_directory() -> None:
    """Raise OSError if the log goes to a file that cannot grow any more. Requests are still answered."""
    if not hasattr(os, "fstatvfs") or not output.is_file():
        return
    disk = os.fstatvfs(output.STDOUT)
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        raise OSError(f"{free} bytes are free for the log")

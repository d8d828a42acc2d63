"""The readiness checks of this service. Add yours: a function that returns where all is well and raises where not."""

from __future__ import annotations

import os
import shutil
import tempfile

from service.health import Checks
from service.logs import output

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Below this, uploads, the metrics store and the log are about to fail."""

CHECKS = Checks()


@CHECKS.add()
def temporary_directory() -> None:
    """Raise OSError where temporary files cannot be written any more."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < MIN_FREE_BYTES:
        raise OSError(f"{free} bytes are free in {tempfile.gettempdir()}")


@CHECKS.add(critical=False)
def log_directory() -> None:
    """Raise OSError where the log goes to a file that cannot grow any more. Requests are answered all the same."""
    if not hasattr(os, "fstatvfs") or not output.is_file():
        return
    disk = os.fstatvfs(output.descriptor())
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        raise OSError(f"{free} bytes are free where the log is")

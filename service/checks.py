"""The readiness checks of this service. Add yours to ``CHECKS``."""

from __future__ import annotations

import shutil
import tempfile

from service.health import Check

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Below this, uploads and the metrics store are about to fail."""


def temporary_directory() -> None:
    """Raise OSError where temporary files cannot be written any more."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < MIN_FREE_BYTES:
        raise OSError(f"{free} bytes are free in {tempfile.gettempdir()}")


CHECKS = (Check("temporary_directory", temporary_directory),)

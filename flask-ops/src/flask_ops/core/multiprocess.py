"""The folder that all processes of one server share. prometheus_client's variable names it."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def is_shared() -> bool:
    """Tell whether several processes share their metrics."""
    return bool(os.environ.get(VARIABLE))


def directory() -> Path:
    """Return the folder of the store. Raises KeyError if there is none."""
    return Path(os.environ[VARIABLE])

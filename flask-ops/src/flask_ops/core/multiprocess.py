"""The folder that all processes of one server share, by prometheus_client's own variable."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def is_shared() -> bool:
    """Tell whether several processes keep their metrics together."""
    return bool(os.environ.get(VARIABLE))


def directory() -> Path:
    """Return the folder of the store. Raises KeyError where there is none."""
    return Path(os.environ[VARIABLE])

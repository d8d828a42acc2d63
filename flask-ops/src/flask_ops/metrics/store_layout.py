"""The names of the files in the metrics store."""

from __future__ import annotations

import re
from pathlib import Path

DAMAGED = "damaged"
"""The folder in the store for files that could not be read."""
_METRICS = re.compile(r"(?:counter|histogram|summary|gauge_[a-z]+)_[0-9A-Za-z]+\.db")
"""What prometheus_client calls its files. A folder of the user's may hold others, which are none of our business."""
_NOTES = re.compile(r"(?:(?:readiness|stuck)_[0-9A-Za-z]+|log-levels)\.(?:json|new)|slot-[0-9A-Za-z]+")
"""What the processes of a server tell each other."""
MOMENTARY = re.compile(r"gauge_live[a-z]+_[0-9A-Za-z]+\.db|(?:readiness|stuck)_[0-9A-Za-z]+\.json")
_SET_ASIDE = re.compile(r"[0-9]+-.*\.db")


def files(directory: Path) -> list[Path]:
    """Return the files in which processes count. Raises OSError where the folder cannot be read."""
    # Not glob(), which for Python 3.13 a folder that cannot be read is an empty one.
    return sorted(path for path in directory.iterdir() if _METRICS.fullmatch(path.name))


def set_aside(directory: Path) -> list[Path]:
    """Return the files that could not be read, where they are now."""
    return [path for path in (directory / DAMAGED).glob("*") if _SET_ASIDE.fullmatch(path.name)]


def is_ours(path: Path) -> bool:
    """Tell whether a file in the store is one of those that are removed before it is used again."""
    return bool(_METRICS.fullmatch(path.name) or _NOTES.fullmatch(path.name))


def owner_of(path: Path) -> str:
    """Return the name of the process that a file in the store belongs to."""
    return path.stem.rpartition("_")[2]

"""The names of the files in the metrics store."""

from __future__ import annotations

import re
from pathlib import Path

DAMAGED = "damaged"
"""The folder in the store for files that could not be read."""
_METRICS = re.compile(r"(?:counter|histogram|summary|gauge_[a-z]+)_[0-9A-Za-z]+\.db")
"""The names that prometheus_client gives its files. A folder of the user may hold other files, which must stay."""
_NOTES = re.compile(r"(?:(?:readiness|stuck)_[0-9A-Za-z]+|log-levels)\.(?:json|new)|slot-[0-9A-Za-z]+")
"""Notes that the processes of a server write for each other."""
MOMENTARY = re.compile(r"gauge_live[a-z]+_[0-9A-Za-z]+\.db|(?:readiness|stuck)_[0-9A-Za-z]+\.json")
_SET_ASIDE = re.compile(r"[0-9]+-.*\.db")


def files(directory: Path) -> list[Path]:
    """Return the files in which processes count. Raises OSError if the folder cannot be read."""
    # Not glob(): in Python 3.13 it returns nothing for a folder that cannot be read.
    return sorted(path for path in directory.iterdir() if _METRICS.fullmatch(path.name))


def set_aside(directory: Path) -> list[Path]:
    """Return the current paths of the files that could not be read."""
    return [path for path in (directory / DAMAGED).glob("*") if _SET_ASIDE.fullmatch(path.name)]


def is_ours(path: Path) -> bool:
    """Tell whether a file in the store is ours. Such files are removed before the store is used again."""
    return bool(_METRICS.fullmatch(path.name) or _NOTES.fullmatch(path.name))


def owner_of(path: Path) -> str:
    """Return the name of the process that owns a file in the store."""
    return path.stem.rpartition("_")[2]

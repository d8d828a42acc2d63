"""Prometheus rules, alerts, Grafana dashboards and a runbook for the metrics of this version.

They serve any number of services. ``python -m flask_ops observability FOLDER`` writes them into a folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DifferentFilesError", "files", "write"]

_ASSETS = Path(__file__).parent / "assets"


class DifferentFilesError(Exception):
    """Files in the folder differ from those of this version. ``paths`` lists them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(f"files differ: {', '.join(map(str, paths))}")
        self.paths = list(paths)


def files() -> dict[str, str]:
    """Return the text of each file by its relative path with slashes, for example ``rules/alerts.yml``."""
    paths = {path.relative_to(_ASSETS).as_posix(): path for path in _ASSETS.rglob("*") if path.is_file()}
    return {name: paths[name].read_text("utf-8") for name in sorted(paths)}


def write(folder: str | os.PathLike[str], *, force: bool = False) -> list[Path]:
    """Write the files into ``folder`` and return the paths of those written. Make the folder if it is missing.

    Files with the same content are not written again. Other files in the folder stay. If a file exists with different
    content, write nothing and raise DifferentFilesError; ``force`` replaces it. Also raises OSError if
    the folder cannot be read or written.
    """
    wanted = {Path(folder, name): text.encode() for name, text in files().items()}
    present = {path: path.read_bytes() if path.exists() else None for path in wanted}
    different = [path for path, content in wanted.items() if present[path] not in (None, content)]
    if different and not force:
        raise DifferentFilesError(different)
    written = [path for path, content in wanted.items() if present[path] != content]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return written

"""Prometheus rules, alerts, a Grafana dashboard and a runbook for the metrics of this version.

``python -m flask_ops observability FOLDER`` writes them into a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["JOB", "DifferentFilesError", "InvalidJobError", "files", "write"]

JOB = "service"
"""The job that the shipped rules select: the ``job_name`` of your service in prometheus.yml."""

_ASSETS = Path(__file__).parent / "assets"
# In YAML, `null` is not a string.
_VALID = re.compile(r"(?!null\Z)[A-Z][A-Z0-9_./:-]*", re.IGNORECASE)
# The job is in selectors and in the runbook's prose. promtool also expects it in the labels and texts of alerts.
_PLACES = re.compile(rf'(job=\\?"|\bjob: |\bthe job `?|\b(?:of|for) ){JOB}(?![\w-])')


class DifferentFilesError(Exception):
    """Files in the folder differ from those of this version. ``paths`` lists them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(f"files differ: {', '.join(map(str, paths))}")
        self.paths = list(paths)


class InvalidJobError(ValueError):
    """The name of a job has characters that need quotes in the files."""

    def __init__(self, job: str) -> None:
        super().__init__(f"{job!r} is not a job name: expected a letter, then letters, digits, or any of _ . / : -")


def files(job: str = JOB) -> dict[str, str]:
    """Return the text of each file by its relative path with slashes, for example ``rules/alerts.yml``.

    The rules, promtool's test cases and the runbook's queries select ``job``. The dashboard has a variable for it.
    Raises InvalidJobError.
    """
    if not _VALID.fullmatch(job):
        raise InvalidJobError(job)
    paths = {path.relative_to(_ASSETS).as_posix(): path for path in _ASSETS.rglob("*") if path.is_file()}
    return {name: _PLACES.sub(lambda place: place[1] + job, paths[name].read_text("utf-8")) for name in sorted(paths)}


def write(folder: str | os.PathLike[str], *, job: str = JOB, force: bool = False) -> list[Path]:
    """Write the files into ``folder`` and return the paths of those written. Make the folder if it is missing.

    Files with the same content are not written again. Other files in the folder stay. If a file exists with different
    content, write nothing and raise DifferentFilesError; ``force`` replaces it. Also raises InvalidJobError, and
    OSError if the folder cannot be read or written.
    """
    wanted = {Path(folder, name): text.encode() for name, text in files(job).items()}
    present = {path: path.read_bytes() if path.exists() else None for path in wanted}
    different = [path for path, content in wanted.items() if present[path] not in (None, content)]
    if different and not force:
        raise DifferentFilesError(different)
    written = [path for path, content in wanted.items() if present[path] != content]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return written

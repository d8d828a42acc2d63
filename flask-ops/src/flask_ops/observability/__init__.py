"""Prometheus rules, alerts, a Grafana dashboard and a runbook for the metrics of this version.

``python -m flask_ops observability FOLDER`` writes them into a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

__all__ = ["JOB", "DifferentFilesError", "InvalidJobError", "files", "write"]

JOB = "service"
"""The job that the shipped rules select, which is the ``job_name`` of your service in prometheus.yml."""

# Not `null`, which YAML reads as no text.
_VALID = re.compile(r"(?!null\Z)[A-Z][A-Z0-9_./:-]*", re.IGNORECASE)
# In selectors, in the labels and the texts that promtool expects of an alert, and in the runbook's prose.
_PLACES = re.compile(rf'(job=\\?"|\bjob: |\bthe job `?|\b(?:of|for) ){JOB}(?![\w-])')


class DifferentFilesError(Exception):
    """Files in the folder are not those of this version. ``paths`` are these files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(f"files differ: {', '.join(map(str, paths))}")
        self.paths = list(paths)


class InvalidJobError(ValueError):
    """The name of a job has characters that would need quotes in the files."""

    def __init__(self, job: str) -> None:
        super().__init__(f"{job!r} is not a job name: expected a letter, then letters, digits, or any of _ . / : -")


def files(job: str = JOB) -> dict[str, str]:
    """Return the text of each file by its path, relative and with slashes, for example ``rules/alerts.yml``.

    ``job`` is the job that rules, promtool's cases and the runbook's queries select. The dashboard has a variable
    for it. Raises InvalidJobError.
    """
    if not _VALID.fullmatch(job):
        raise InvalidJobError(job)
    found = _texts(resources("flask_ops.observability").joinpath("assets"), PurePosixPath())
    return {name: _PLACES.sub(lambda place: place[1] + job, found[name]) for name in sorted(found)}


def write(folder: str | os.PathLike[str], *, job: str = JOB, force: bool = False) -> list[Path]:
    """Write the files into ``folder``, which is made if it is missing, and return the paths of those written.

    Files that are there with the same content are left alone, and so are all other files in the folder.
    Raises DifferentFilesError, and writes nothing, if a file is there with other content; ``force`` replaces it.
    Raises InvalidJobError, and OSError if the folder cannot be read or written.
    """
    wanted = {Path(folder, name): text.encode() for name, text in files(job).items()}
    present = {path: _content(path) for path in wanted}
    different = [path for path, content in wanted.items() if present[path] not in (None, content)]
    if different and not force:
        raise DifferentFilesError(different)
    written = [path for path, content in wanted.items() if present[path] != content]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return written


def _texts(folder: Traversable, prefix: PurePosixPath) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _texts(entry, prefix / entry.name)
        else:
            found[str(prefix / entry.name)] = entry.read_text(encoding="utf-8")
    return found


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None

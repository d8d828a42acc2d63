"""Marked blocks: the lines of a text file that belong to the library's sources.

A block begins with a line that has only the comment ``library: begin``, and ends with ``library: end``. The comment
starts with ``#``, as in Python, make, YAML and Dockerfiles, or it is a Markdown comment.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from archive import RefusedError

GONE = ("flask-ops", "benchmark", ".venv-bench", ".venv-pythons", ".newer")
"""The folders that are removed with the library's sources."""
_SKIPPED = {*GONE, ".git", ".venv", "__pycache__", "build", "dist", "vendor", "node_modules"}
_MARKER = re.compile(r"\s*(?:#|<!--) library: (begin|end)(?: -->)?\s*")
_TARGETS = "bench|bench-short|wheel|detach|test-library|test-all|test-pythons|coverage|test-long|test-newer"
_MENTION = re.compile(rf"flask-ops/|\bbenchmark/|\.venv-(?:bench|pythons)|requirements-build|\bmake (?:{_TARGETS})\b")


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each text file of the clone with its text. Skip the folders of tools and the folders in GONE."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.endswith("_cache"))
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                with contextlib.suppress(UnicodeDecodeError):  # a binary file
                    yield file, file.read_bytes().decode()  # keeps the line ends


def replace(text: str, replacement: str, name: str) -> str | None:
    """Replace the first block of ``text`` with ``replacement``, and remove the others. Return None without a block.

    ``name`` is the name of the file, for messages. Raises RefusedError if a marker has no counterpart.
    """
    kept: list[str] = []
    inside = found = ended = False
    began = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        marker = _MARKER.fullmatch(line)
        if marker is None:
            # If a block was between two empty lines, remove one of them too.
            doubled = ended and not line.strip() and bool(kept) and not kept[-1].strip()
            if not inside and not doubled:
                kept.append(line)
            ended = False
            continue
        if inside == (marker[1] == "begin"):
            raise RefusedError(f"{name}:{number}: this marker has no counterpart. Expected pairs of begin and end.")
        inside, began = not inside, number
        ended = not inside
        if inside and not found:
            kept += replacement.splitlines(keepends=True)
            found = True
    if inside:
        raise RefusedError(f"{name}:{began}: this marked block has no end.")
    return "".join(kept) if found else None


def mentions(root: Path) -> list[str]:
    """Return the lines that still mention removed files, as ``file:line: text``."""
    return [
        f"{file.relative_to(root)}:{number}: {line.strip()[:100]}"
        for file, text in texts(root)
        if file.name != "CHANGELOG.md"  # describes the past
        for number, line in enumerate(text.splitlines(), 1)
        if _MENTION.search(line)
    ]

"""The roles of the service's name. Each role is read and replaced in its own files.

A pattern is a regular expression without groups. ``@`` stands for the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True)
class Role:
    """A use of the name. Roles are read and replaced one by one, because their names differ in the template."""

    title: str
    first: tuple[str, str]
    """The files (a glob) and the pattern that give the current name."""
    places: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    """Globs of files, and the patterns to replace in them."""

    def current(self, root: Path) -> str | None:
        """Return the current name, or None if the file or the line is gone."""
        glob, pattern = self.first
        for path in sorted(root.glob(glob)):
            before, after = pattern.split("@")
            found = re.search(f"{before}({_NAME}?){after}", path.read_text("utf-8"), re.MULTILINE)
            if found:
                return found[1]
        return None

    def files(self, root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Yield each file that may have the name, with its patterns."""
        for globs, patterns in (((self.first[0],), (self.first[1],)), *self.places):
            for glob in globs:
                for path in sorted(root.glob(glob)):
                    yield path, patterns


def replace(text: str, patterns: tuple[str, ...], old: str, new: str) -> str:
    """Replace ``old`` with ``new`` in each match of a pattern in ``text``."""
    for pattern in patterns:
        before, after = pattern.split("@")
        text = re.sub(f"({before}){re.escape(old)}(?={after})", lambda found: found[1] + new, text, flags=re.MULTILINE)
    return text

"""The copy of the library's observability files in `observability/`, where people read and change them.

The source is the library's package data. `make rules` copies it. `make rules-compared`,
a part of this repository's gate, reports missing lines. Both run without tests, so an adopter's changes fail none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import flask_ops.observability
from tests.repository.observability.files import OBSERVABILITY


def lacking(folder: Path) -> dict[str, str]:
    """Return the first of the library's lines that each file in ``folder`` lacks.

    Additions by an adopter are ignored.
    """
    return dict(_lacking(flask_ops.observability.files(), folder))


def _lacking(shipped: Mapping[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    for name, text in shipped.items():
        path = folder / name
        present = iter(_lines(path.read_text()) if path.exists() else [])
        # `in` continues after its last match: the lines must occur in this order, possibly among others.
        for line in _lines(text):
            if line not in present:
                yield name, line
                break


def _lines(text: str) -> list[str]:
    # In JSON, an entry before another entry ends with a comma.
    return [line.rstrip(" ,") for line in text.splitlines()]


def main() -> int:
    """Copy the files, or compare them and return 1 if lines are missing."""
    if sys.argv[1:] != ["--compare"]:
        for path in flask_ops.observability.write(OBSERVABILITY, force=True):
            sys.stdout.write(f"wrote {path}\n")
        return 0
    found = lacking(OBSERVABILITY)
    for name, line in found.items():
        sys.stderr.write(f"observability/{name} lacks what flask_ops ships: {line.strip()}\n")
    if found:
        sys.stderr.write("Change flask-ops/src/flask_ops/observability/assets, then run `make rules manifests`.\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

"""The copy of the library's observability files in `observability/`, where people read and change them.

The library's package data is the source. `make rules` copies it, for the job of prometheus.yml. `make rules-compared`,
a part of this repository's gate, tells what the copy lacks. Both need no test, so an adopter's changes fail none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import flask_ops.observability
from observability import configuration
from tests.repository.observability.files import OBSERVABILITY

_ADDRESS = re.compile(r"https?://\S+?(?=/runbook\.md#)")


def lacking(folder: Path) -> dict[str, str]:
    """Return the first line that each file in ``folder`` lacks of what the library ships.

    An adopter's additions are no difference, nor is the name of the job or the address of the runbook.
    """
    job = configuration.job(folder / "prometheus.yml")
    return dict(_lacking(flask_ops.observability.files(job), folder))


def _lacking(shipped: Mapping[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    for name, text in shipped.items():
        path = folder / name
        present = iter(_lines(path.read_text()) if path.exists() else [])
        # `in` goes on behind what it has found: the lines have to be there in this order, among others.
        for line in _lines(text):
            if line not in present:
                yield name, line
                break


def _lines(text: str) -> list[str]:
    # In JSON, a comma follows whatever has a successor.
    return [_ADDRESS.sub("", line).rstrip(" ,") for line in text.splitlines()]


def main() -> int:
    """Copy, or compare and return 1 if something is lacking."""
    if sys.argv[1:] != ["--compare"]:
        job = configuration.job(OBSERVABILITY / "prometheus.yml")
        for path in flask_ops.observability.write(OBSERVABILITY, job=job, force=True):
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

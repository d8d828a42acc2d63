"""External programs that tests need: installed by `make test` where it may."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

MAKEFILE = (Path(__file__).parents[1] / "library.mk").read_text().replace("\\\n", "")
(LISTED,) = re.findall(r"^PROGRAMS := (.*)$", MAKEFILE, re.MULTILINE)
PACKAGES = dict(item.split(":") for item in LISTED.split())
"""The Debian package of each program."""


def require(name: str) -> Path:
    """Return the path of a program. Without it the test is skipped, under ``CI=true`` it fails."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    message = f"{name} is missing: apt-get install --no-install-recommends {PACKAGES.get(name, name)}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)

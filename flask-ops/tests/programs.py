"""The external programs that tests need. `make programs` installs them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

MAKEFILE = (Path(__file__).parents[1] / "library.mk").read_text().replace("\\\n", "")
(LISTED,) = re.findall(r"^PROGRAMS \+= (.*)$", MAKEFILE, re.MULTILINE)
PACKAGES = dict(item.split(":") for item in LISTED.split())
"""The Debian package of each program."""


def require(name: str) -> Path:
    """Return the path of a program. If it is missing, the test fails."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    pytest.fail(f"{name} is missing. Install it: make programs (Debian package {PACKAGES.get(name, name)})")


def outcome(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 100
) -> tuple[int, str]:
    """Run a command to its end, and return its exit code and all of its output."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout + done.stderr

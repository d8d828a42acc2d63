"""The program that checks configurations and rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.programs import require


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Return its exit code and its output."""
    done = subprocess.run([require("promtool"), *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr

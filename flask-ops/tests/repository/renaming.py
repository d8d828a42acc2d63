"""`make name` in a copy of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.copies import copy_repository


class Copy:
    """A copy of the repository in which tests can rename the service."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_repository(folder)

    def make_name(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `make name` with these arguments, as in a shell outside of `make`."""
        inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
        return subprocess.run(
            ["make", "--no-print-directory", "name", *arguments, f"PYTHON={sys.executable}"],
            cwd=self.folder,
            env={**inherited, "PYTHONDONTWRITEBYTECODE": "1", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def rename(self, name: str) -> str:
        """Rename the service, and return the output."""
        done = self.make_name(f"NAME={name}")
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    def text(self, path: str) -> str:
        """Return the text of a file."""
        return (self.folder / path).read_text()

    def content(self) -> dict[str, bytes]:
        """Return the content of each file by its path, without compiled bytecode."""
        paths = (path for path in self.folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

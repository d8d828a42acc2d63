"""The library's archives, built as by ``make wheel``, and an environment with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.process import REPOSITORY, clean_environ

LOCK = REPOSITORY / "requirements.txt"
"""Exact versions of the library's dependencies, with hashes, without the library itself."""
_INSTALL_SECONDS = 200


def outside() -> dict[str, str]:
    """Return an environment without any reference to the repository."""
    return {name: value for name, value in clean_environ().items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def make(*arguments: str, cwd: Path) -> str:
    """Return the output of ``make``; fail if it fails."""
    done = _make(*arguments, cwd=cwd)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def refused(*arguments: str, cwd: Path) -> str:
    """Return the reason for which ``make`` refuses."""
    done = _make(*arguments, cwd=cwd)
    assert 2 == done.returncode, done.stdout + done.stderr
    return done.stderr


def _make(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", *arguments, f"PYTHON={sys.executable}"]
    # A user's call is not a part of the `make` that runs these tests.
    env = {name: value for name, value in outside().items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )


def install(wheel: Path, environment: Path) -> None:
    """Create ``environment``, and install the locked packages and the wheel into it."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, env=outside(), timeout=60)
    pip: list[str | Path] = [
        environment / "bin" / "python",
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
    ]
    locked: list[str | Path] = ["--require-hashes", "--requirement", LOCK]
    for what in (locked, ["--no-deps", "--no-index", wheel]):
        done = subprocess.run(
            [*pip, *what],
            cwd=environment,
            env=outside(),
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        assert 0 == done.returncode, done.stderr

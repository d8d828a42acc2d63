"""Processes that can mount file systems without an effect on other processes."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def in_namespace(script: str) -> list[str]:
    """Return the command that runs this shell script in its own namespace."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system in a namespace")
    return [*unshare, "sh", "-c", script]

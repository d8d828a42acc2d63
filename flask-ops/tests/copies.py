"""Copies of the project of the tests, for tests that change it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.process import PROJECT, REPOSITORY


def copy_service(folder: Path) -> Path:
    """Copy the service and what starts it into ``folder``, and return it."""
    ignored = shutil.ignore_patterns("__pycache__", "tls")
    shutil.copytree(PROJECT / "service", folder / "service", ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "deploy", folder / "deploy", ignore=ignored, dirs_exist_ok=True)
    shutil.copy(PROJECT / "gunicorn.conf.py", folder)
    return folder

"""Copies of the tests' project and of the repository, for tests that change them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.process import PROJECT, REPOSITORY

_LEFT_OUT = (".git", ".venv*", ".*_cache", ".hypothesis", ".newer", ".coverage*", "__pycache__", "dist", "tls")
"""Not part of the repository: versions, environments, and files that tools and tests leave behind."""


def copy_repository(folder: Path) -> Path:
    """Copy the repository into ``folder`` as a clone holds it: with new times, without git and an environment."""
    ignored = shutil.ignore_patterns(*_LEFT_OUT)
    return Path(shutil.copytree(REPOSITORY, folder, ignore=ignored, copy_function=shutil.copy))


def copy_service(folder: Path) -> Path:
    """Copy the service and its start files into ``folder``, and return the folder."""
    ignored = shutil.ignore_patterns("__pycache__", "tls")
    shutil.copytree(PROJECT / "service", folder / "service", ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "deploy", folder / "deploy", ignore=ignored, dirs_exist_ok=True)
    shutil.copy(PROJECT / "gunicorn.conf.py", folder)
    return folder

"""Copies of the service, for tests that change it or ask for views that its adopter may have replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.process import ROOT

STAND_INS = Path(__file__).parent / "stand_ins"


def copy_service(folder: Path) -> Path:
    """Copy the service and what starts it into ``folder``, with the views and checks of the tests, and return it."""
    for name in ("service", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tls"))
    shutil.copy(ROOT / "gunicorn.conf.py", folder)
    for name in ("views.py", "checks.py"):
        shutil.copy(STAND_INS / name, folder / "service" / name)
    return folder

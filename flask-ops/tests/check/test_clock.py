"""Findings of `check` about the clock."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

from flask_ops.cli.check.clock import is_synchronised, look


@pytest.mark.parametrize(("answer", "severity"), [(True, "ok"), (False, "note"), (None, "note")])
def test_what_the_kernel_says_is_told(answer: bool | None, severity: str) -> None:
    (finding,) = look(synchronised=lambda: answer)

    assert severity == finding.severity


def test_the_kernel_is_asked() -> None:
    """timedatectl asks the kernel too, but most containers have no bus that it could use."""
    answer = is_synchronised()
    told = {"no\n": False, "yes\n": True}
    if shutil.which("timedatectl"):
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer == told.get(done.stdout, answer)
    assert answer in {True, False, None}


def test_a_clock_that_is_behind_its_own_code_is_a_warning() -> None:
    (finding,) = look(now=lambda: time.time() - 400 * 86400)

    assert "warning" == finding.severity
    assert "days behind the newest file" in finding.text

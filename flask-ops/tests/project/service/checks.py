"""Checks that always pass."""

from __future__ import annotations

from flask_ops import Checks

CHECKS = Checks()


@CHECKS.add()
def storage() -> None:
    """Pass."""


@CHECKS.add(critical=False)
def notices() -> None:
    """Pass."""

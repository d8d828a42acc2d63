"""Checks that always pass."""

from __future__ import annotations

from flask_ops import Checks

CHECKS = Checks()


@CHECKS.add()
def storage() -> None:
    pass


@CHECKS.add(critical=False)
def notices() -> None:
    pass

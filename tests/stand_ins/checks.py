from __future__ import annotations

from service.health import Checks

CHECKS = Checks()


@CHECKS.add()
def storage() -> None:
    pass


@CHECKS.add(critical=False)
def notices() -> None:
    pass

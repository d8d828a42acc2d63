"""The guard fails a large rise in cost. Each run of the gate shows that it passes normal costs."""

from __future__ import annotations

from dataclasses import replace

from benchmark import guard
from benchmark.subject import BIN, ROOT, SUBJECTS, Deployment
from tests.programs import require


def slowed(deployment: Deployment) -> list[str]:
    return [
        str(BIN / "gunicorn"),
        f"--config={ROOT / 'gunicorn.conf.py'}",
        f"--pythonpath={ROOT / 'flask-ops'}",  # for this package of tests
        *deployment.gunicorn,
        "tests.repository.benchmark.slowed:create_app()",
    ]


def test_a_much_costlier_service_fails_after_a_second_measurement() -> None:
    require("wrk")
    said: list[str] = []

    assert not guard.check(replace(SUBJECTS["service"], command=slowed), 1, said.append)
    assert 2 == len(said), said
    assert "more than 1.15 fails" in said[0]

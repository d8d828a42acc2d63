"""Drain, graceful time and the supervisor's grace period."""

from __future__ import annotations

import pytest

from flask_ops.cli.check.stopping import look
from flask_ops.cli.check.trial import GunicornValues, Trial
from tests.check.checking import deployment


@pytest.mark.parametrize(
    ("environ", "grace", "severity"),
    [
        ({}, 45, "ok"),
        ({}, 35, "error"),
        ({}, 10, "error"),
        ({"SERVICE_DRAIN_SECONDS": "0", "SERVICE_GRACEFUL_SECONDS": "8"}, 10, "ok"),
        ({"SERVICE_DRAIN_SECONDS": "2", "SERVICE_GRACEFUL_SECONDS": "8"}, 10, "error"),
        ({}, None, "note"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None, "warning"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "SERVICE_GRACEFUL_SECONDS": "20"}, None, "note"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 45, "ok"),
    ],
)
def test_the_grace_must_exceed_drain_and_graceful_time(
    environ: dict[str, str], grace: float | None, severity: str
) -> None:
    (finding,) = look(deployment(environ, grace=grace))

    assert severity == finding.severity


def test_it_is_gunicorns_own_graceful_time_that_counts() -> None:
    values = GunicornValues(
        binds=(),
        workers=2,
        threads=4,
        connections=20,
        graceful_seconds=90,
        heartbeat_directory=None,
        forwarded_allow_ips=(),
        reload=False,
    )
    (finding,) = look(deployment(trial=Trial(gunicorn=values), grace=45))

    expected = "A stop may take 95 s (5 of drain, 90 for requests in flight), but the supervisor kills it after 45 s."
    assert expected == finding.text


def test_of_uwsgi_it_is_not_known() -> None:
    (finding,) = look(deployment(server="uwsgi", grace=1))

    assert "note" == finding.severity
    assert "harakiri" in finding.text

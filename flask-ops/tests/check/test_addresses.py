"""Findings of `check` about proxies and about the clients that can reach the addresses."""

from __future__ import annotations

import pytest

from flask_ops.cli.check.addresses import look
from flask_ops.cli.check.trial import GunicornValues, Trial
from tests.check.checking import deployment, only, severities

WORLD = {"SERVICE_BIND": "0.0.0.0:0"}
LOCAL = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


@pytest.mark.parametrize(
    ("environ", "severity", "words"),
    [
        ({"SERVICE_BIND": "127.0.0.1:0"}, "ok", "only this machine"),
        ({"SERVICE_BIND": "127.0.0.1:0", "SERVICE_TRUSTED_PROXIES": "1"}, "ok", "1 trusted"),
        (WORLD, "warning", "connect to gunicorn directly"),
        ({"SERVICE_BIND": "[::]:0"}, "warning", "[::]:0"),
        ({**WORLD, "SERVICE_TRUSTED_PROXIES": "2"}, "note", "can forge its address: SERVICE_TRUSTED_PROXIES is 2"),
        ({"PORT": "18080"}, "warning", "a platform that sets PORT"),
        ({"PORT": "18080", "SERVICE_TRUSTED_PROXIES": "1"}, "note", "can forge"),
        ({**WORLD, "KUBERNETES_SERVICE_HOST": "10.0.0.1", "PORT": "1"}, "warning", "With Kubernetes"),
        ({"SERVICE_BIND": "unix:/nowhere/x.sock"}, "warning", "With a Unix socket"),
        ({"SERVICE_BIND": "unix:/nowhere/x.sock", "SERVICE_TRUSTED_PROXIES": "1"}, "ok", "only this machine"),
    ],
)
def test_the_address_and_the_trusted_proxies_must_fit(environ: dict[str, str], severity: str, words: str) -> None:
    finding = only(look(deployment(environ)), "proxies")

    assert severity == finding.severity
    assert words in finding.text


def test_proxies_that_gunicorn_itself_believes_are_a_warning() -> None:
    values = GunicornValues(
        binds=(),
        workers=2,
        threads=4,
        connections=20,
        graceful_seconds=30,
        heartbeat_directory=None,
        forwarded_allow_ips=("*",),
        reload=False,
    )
    found = [*look(deployment(LOCAL, trial=Trial(gunicorn=values)))]

    assert ["ok", "warning"] == severities(found, "proxies")


@pytest.mark.parametrize(
    ("environ", "severity", "words"),
    [
        ({}, "ok", "Only this machine"),
        ({"SERVICE_MANAGEMENT_BIND": ""}, "note", "probes time out"),
        ({"SERVICE_MANAGEMENT_BIND": "", "SERVICE_METRICS_ON_APP": "false"}, "warning", "scrapes are impossible"),
        ({"SERVICE_MANAGEMENT_BIND": "0.0.0.0:0"}, "warning", "drain the service"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "warning", "Only this pod"),
    ],
)
def test_who_reaches_the_management_address(environ: dict[str, str], severity: str, words: str) -> None:
    finding = only(look(deployment({**LOCAL, **environ})), "management")

    assert severity == finding.severity
    assert words in finding.text


def test_in_kubernetes_loopback_is_the_pod_alone() -> None:
    inside = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    assert ["warning"] == severities(look(deployment({**LOCAL, **inside})), "bind")
    assert [] == severities(look(deployment({**LOCAL, **WORLD, **inside})), "bind")
    assert [] == severities(look(deployment(LOCAL)), "bind")


def test_in_kubernetes_a_policy_is_what_protects_the_management_address() -> None:
    environ = {**LOCAL, "SERVICE_MANAGEMENT_BIND": "0.0.0.0:0", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    assert "NetworkPolicy" in only(look(deployment(environ)), "management").cure

"""Findings of `check` about the addresses, the clients that can reach them, and the proxies."""

from __future__ import annotations

from flask_ops.cli.check.addresses import look
from tests.check.checking import deployment, only, severities

WORLD = {"SERVICE_BIND": "0.0.0.0:0"}
LOCAL = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}
UNIX = {"SERVICE_BIND": "unix:/nowhere/x.sock"}
PROXY = {"SERVICE_TRUSTED_PROXIES": "1"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
NO_MANAGEMENT = {"SERVICE_MANAGEMENT_BIND": ""}
TOKEN = {"SERVICE_MANAGEMENT_TOKEN": "correct-horse-battery"}
TOKEN_READS = {"SERVICE_MANAGEMENT_TOKEN_READS": "true"}
OPEN_MANAGEMENT = {"SERVICE_MANAGEMENT_BIND": "0.0.0.0:0"}


def test_who_can_reach_an_address_is_judged() -> None:
    for environ, subject, severity, words in (
        ({}, "proxies", "ok", "only this machine"),
        (PROXY, "proxies", "ok", "1 trusted"),
        (WORLD, "proxies", "warning", "SERVICE_TRUSTED_PROXIES is 0"),
        ({"SERVICE_BIND": "[::]:0"}, "proxies", "warning", "SERVICE_TRUSTED_PROXIES is 0"),
        ({**WORLD, **PROXY}, "proxies", "note", "reaches 0.0.0.0:0 directly can forge its address"),
        (UNIX, "proxies", "warning", "SERVICE_TRUSTED_PROXIES is 0"),
        ({**UNIX, **PROXY}, "proxies", "ok", "only this machine"),
        ({}, "keep-alive", "ok", "idle for 620 s."),
        ({"SERVICE_KEEP_ALIVE_SECONDS": "600"}, "keep-alive", "note", "load balancers of Google Cloud (600 s) do not"),
        ({"SERVICE_KEEP_ALIVE_SECONDS": "60"}, "keep-alive", "warning", "AWS (60 s) and Google Cloud (600 s) do"),
        ({}, "management", "ok", "Only this machine"),
        (NO_MANAGEMENT, "management", "note", "probes time out"),
        ({**NO_MANAGEMENT, "SERVICE_METRICS_ON_APP": "false"}, "management", "warning", "scrapes are impossible"),
        (OPEN_MANAGEMENT, "management", "warning", "drain the service"),
        ({**OPEN_MANAGEMENT, **TOKEN}, "management", "note", "can read the metrics. Changes need the token."),
        ({**OPEN_MANAGEMENT, **TOKEN, **TOKEN_READS}, "management", "ok", "needs the token, except for probes"),
        ({**KUBERNETES, **OPEN_MANAGEMENT}, "management", "warning", "drain the service"),
        ({**TOKEN, **TOKEN_READS}, "token", "warning", "the application's port serves /metrics to all"),
        (KUBERNETES, "management", "warning", "Only this pod"),
        (KUBERNETES, "bind", "warning", "Only this pod"),
    ):
        finding = only(look(deployment({**LOCAL, **environ})), subject)

        assert severity == finding.severity
        assert words in finding.text


def test_in_kubernetes_other_pods_connect_and_a_policy_protects_the_management_address() -> None:
    found = [*look(deployment({**WORLD, **OPEN_MANAGEMENT, **KUBERNETES}))]

    assert [] == severities(found, "bind")
    assert "NetworkPolicy" in only(found, "management").cure

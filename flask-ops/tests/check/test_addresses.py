"""Findings of `check` about the addresses, the clients that can reach them, and the proxies."""

from __future__ import annotations

import socket
from pathlib import Path

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


def test_one_address_cannot_be_used_twice() -> None:
    for bind, management, expected in (
        ("127.0.0.1:8001", "127.0.0.1:8001", True),
        ("0.0.0.0:8001", "127.0.0.1:8001", True),
        ("[::]:8001", "127.0.0.1:8001", True),
        ("unix:/run/x.sock", "unix:/run/x.sock", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.2:8001", "127.0.0.1:8001", False),
        ("unix:/run/x.sock", "127.0.0.1:8001", False),
    ):
        found = look(deployment({"SERVICE_BIND": bind, "SERVICE_MANAGEMENT_BIND": management}))

        assert expected == any("is used twice" in finding.text for finding in found), (bind, management)


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host in ("127.0.0.1", "0.0.0.0"):
            bind = f"{host}:{taken.getsockname()[1]}"

            assert ["error", "ok"] == severities(look(deployment({**LOCAL, "SERVICE_BIND": bind})), "port")


def test_a_port_whose_last_connections_are_being_forgotten_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        bind = f"127.0.0.1:{server.getsockname()[1]}"
        accepted.close()  # first, so that the server's port is in TIME_WAIT
        client.close()

    assert ["ok", "ok"] == severities(look(deployment({**LOCAL, "SERVICE_BIND": bind})), "port")


def test_an_address_that_cannot_be_used_is_an_error() -> None:
    for bind, words in (
        ("192.0.2.1:8000", "192.0.2.1:8000: Cannot assign requested address."),
        ("no.such.host.invalid:8000", "no.such.host.invalid:8000: "),
        (UNIX["SERVICE_BIND"], "there is no folder /nowhere that this user can write to"),
    ):
        found = look(deployment({**LOCAL, "SERVICE_BIND": bind}))
        (finding,) = [each for each in found if each.subject == "port" and each.severity == "error"]

        assert words in finding.text
        assert finding.cure


def test_a_unix_socket_is_taken_while_somebody_listens_and_free_after_that(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    environ = {**LOCAL, "SERVICE_BIND": f"unix:{path}"}
    assert ["ok", "ok"] == severities(look(deployment(environ)), "port")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert ["error", "ok"] == severities(look(deployment(environ)), "port")

    assert ["ok", "ok"] == severities(look(deployment(environ)), "port")
    assert path.exists()

"""Findings of `check` about addresses that are free or in use."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flask_ops.cli.check.ports import look
from tests.check.checking import deployment, severities

LOCAL = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


@pytest.mark.parametrize(
    ("bind", "management", "expected"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001", True),
        ("0.0.0.0:8001", "127.0.0.1:8001", True),
        ("[::]:8001", "127.0.0.1:8001", True),
        ("unix:/run/x.sock", "unix:/run/x.sock", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.2:8001", "127.0.0.1:8001", False),
        ("unix:/run/x.sock", "127.0.0.1:8001", False),
    ],
)
def test_one_address_cannot_be_had_twice(bind: str, management: str, expected: bool) -> None:
    found = [*look(deployment({"SERVICE_BIND": bind, "SERVICE_MANAGEMENT_BIND": management}))]

    assert expected == any("is used twice" in finding.text for finding in found)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_an_error(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"{host}:{taken.getsockname()[1]}"
        found = [*look(deployment({**LOCAL, "SERVICE_BIND": bind}))]

    assert ["error", "ok"] == severities(found, "port")


def test_a_port_whose_last_connections_are_being_forgotten_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        bind = f"127.0.0.1:{server.getsockname()[1]}"
        accepted.close()  # first, so that the server's port is in TIME_WAIT
        client.close()

    assert ["ok", "ok"] == severities(look(deployment({**LOCAL, "SERVICE_BIND": bind})), "port")


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        ("192.0.2.1:8000", "192.0.2.1:8000: Cannot assign requested address."),
        ("no.such.host.invalid:8000", "no.such.host.invalid:8000: "),
        ("unix:/nowhere/x.sock", "there is no folder /nowhere"),
    ],
)
def test_an_address_that_cannot_be_had_is_an_error(bind: str, words: str) -> None:
    found = [*look(deployment({**LOCAL, "SERVICE_BIND": bind}))]
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

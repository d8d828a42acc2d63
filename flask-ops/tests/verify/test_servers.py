"""`python -m service verify` against every server of this repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.copies import copy_service
from tests.process import BIN, PROJECT, Server, clean_environ, running, wait_until
from tests.servers import COMMANDS, serve
from tests.verify.impostor import impostor
from tests.verify.verifying import verify

pytestmark = pytest.mark.system


def at(server: Server) -> list[str]:
    """Return the arguments for a server with its management address."""
    return [f"http://127.0.0.1:{server.port}", "--management", f"http://127.0.0.1:{server.management_port}"]


def settle(server: Server) -> None:
    """Wait until it is ready, and has counted its first request."""
    wait_until(lambda: server.manage("/readyz").status == 200, "ready")
    wait_until(lambda: server.lines("request", route="/healthz"), "it is counted")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_server_in_production_passes_and_its_metrics_count_exactly(name: str, tmp_path: Path) -> None:
    with serve(name, tmp_path) as server:
        settle(server)

        found = verify(*at(server))
        assert (0, [("exposed", "warning")]) == (found.code, found.bad())
        assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")
        assert 1 == len(found.texts("management", "ok"))

        without = verify(f"http://127.0.0.1:{server.port}")
        assert ["They count exactly the 10 requests made here."] == without.texts("metrics", "ok")

        public = verify(*at(server), "--public")
        assert (1, [("tls", "warning"), ("exposed", "error")]) == (public.code, public.bad())


def test_waitress_of_python_m_service_passes_without_metrics_on_the_applications_port(tmp_path: Path) -> None:
    env = {"SERVICE_ENV": "production", "SERVICE_BIND": "127.0.0.1:0", "SERVICE_METRICS_ON_APP": "false"}
    env["SERVICE_LOG_LEVEL"] = "debug"
    copy = copy_service(tmp_path / "copy")
    with running([BIN / "python", "-m", "service"], tmp_path, env, cwd=copy) as server:
        settle(server)

        found = verify(*at(server))
        assert (0, []) == (found.code, found.bad())
        assert 1 == len(found.texts("metrics", "ok"))

        alone = verify(f"http://127.0.0.1:{server.port}")
        assert (0, []) == (alone.code, alone.bad())
        assert ["There are no metrics at this address, so they are not tested."] == alone.texts("metrics", "note")


def test_the_development_server_fails(tmp_path: Path) -> None:
    free, copy = {"SERVICE_BIND": "127.0.0.1:0"}, copy_service(tmp_path / "copy")
    with running([BIN / "python", "-m", "service"], tmp_path, free, cwd=copy, ready="/readyz") as server:
        found = verify(f"http://127.0.0.1:{server.port}")

    assert 1 == found.code
    assert [("server", "error"), ("exposed", "warning")] == found.bad()
    assert "development server" in found.texts("server", "error")[0]


def test_a_service_that_drains_or_is_down_fails_and_says_so(tmp_path: Path) -> None:
    marker = tmp_path / "down"
    with serve("gunicorn", tmp_path, {"SAMPLE_DOWN_IF_EXISTS": str(marker)}) as server:
        server.manage("/drain", "POST")
        draining = verify(*at(server))
        server.manage("/resume", "POST")
        marker.touch()
        wait_until(lambda: server.get("/readyz").json()["status"] == "down", "down")
        down = verify(*at(server))

    assert 1 == draining.code == down.code
    for found, status in ((draining, "draining"), (down, "down")):
        assert [f"It answers 503 Service Unavailable, {status}."] == found.texts("/readyz", "error")
        assert f"503 Service Unavailable: {status}." in found.texts("management", "error")[0]
        assert 1 == len(found.texts("metrics", "ok"))


def test_a_management_address_that_clients_reach_fails(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        there = server.manage("/nope").json()["detail"].removeprefix("There is only ").removesuffix(".").split(", ")
        found = verify(f"http://127.0.0.1:{server.management_port}")

        assert 1 == found.code
        (text,) = found.texts("exposed", "error")
        named = text.removeprefix("Management paths answer here: ").removesuffix(".").split(", ")
        assert {*there} - {"/", "/readyz", "/metrics"} == {*named}, "which the application has, too"
        assert 200 == server.get("/readyz").status, "nothing was drained"


def test_what_is_no_management_address_fails() -> None:
    with impostor() as server, impostor() as other:
        found = verify(server.url, "--management", other.url)

    assert [f"{other.url} is not a management address."] == found.texts("management", "error")
    assert ["They count 0 of 10 requests."] == found.texts("metrics", "error")


def test_it_is_a_command_with_a_table_for_people(tmp_path: Path) -> None:
    with serve("waitress", tmp_path) as server:
        settle(server)
        done = subprocess.run(
            [BIN / "python", "-m", "service", "verify", *at(server)],
            cwd=PROJECT,
            env=clean_environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert f"http://127.0.0.1:{server.port}" == lines[0]
    assert any(line.startswith("ok       metrics     They count exactly") for line in lines)
    assert "1 warning, 9 ok" == lines[-1]
    assert "\x1b" not in done.stdout

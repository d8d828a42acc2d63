"""Metrics that prometheus_client or its exporter for Flask would count twice or export wrongly, without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops import exporter
from tests.attach.servers import ATTACHED, LOOPBACK, attached, counted
from tests.exposition import value
from tests.process import BIN, Server, wait_until

SECOND = "a second exporter counts the same requests, and is left out"
FUNCTION = "gauge with a function is not exported"
WAITRESS: list[str | Path] = [BIN / "python", "-m", "flask_ops", "serve"]
SERVERS: dict[str, tuple[list[str | Path], list[str | Path], dict[str, str]]] = {
    "gunicorn": (ATTACHED, [LOOPBACK, "-w", "1"], {}),
    "gunicorn, with Ops(app)": (ATTACHED, [LOOPBACK, "-w", "1"], {"WITH_OPS": "1"}),
    "waitress": (WAITRESS, [], {}),
    "waitress with a store, with Ops(app)": (WAITRESS, [], {"WITH_OPS": "1", "PROMETHEUS_MULTIPROC_DIR": "store"}),
}


def told(server: Server, event: str) -> list[str]:
    return [line.get("gauge", "") for line in server.lines(event, level="warning")]


@pytest.mark.system
@pytest.mark.parametrize("name", SERVERS)
def test_a_second_exporter_is_left_out_and_no_gauge_is_wrong(name: str, tmp_path: Path) -> None:
    """Each is reported once. A gauge with a function is correct if one process serves without a store."""
    command, options, env = SERVERS[name]
    env = {"SERVICE_BIND": "127.0.0.1:0", **env}
    with attached("tests.applications.two_exporters:app", tmp_path, options, env, command=command) as server:
        for _ in range(3):
            server.get("/work")
        for _ in range(2):
            assert {("GET", "/work", "200"): 3} == counted(server)
        text = server.manage("/metrics").body.decode()
        assert 3 == value(text, "service_slo_events_total", slo="availability")
        is_single = name == "waitress"
        gauges = {line for line in text.splitlines() if line.startswith(("jobs ", "connections{"))}
        assert ({'connections{pool="a"} 42.0', "jobs 42.0"} if is_single else set()) == gauges
        wait_until(lambda: len(told(server, SECOND)) == 1, "it is reported")
        assert ([] if is_single else ["connections", "jobs"]) == told(server, FUNCTION)


@pytest.mark.system
def test_a_second_exporter_with_a_prefix_of_its_own_is_shown(tmp_path: Path) -> None:
    env = {"EXPORTER_PREFIX": "app"}
    with attached("tests.applications.two_exporters:app", tmp_path, [LOOPBACK, "-w", "1"], env) as server:
        server.get("/work")
        text = server.manage("/metrics").body.decode()

        assert 1 == value(text, "app_http_request_total") == value(text, "flask_http_request_total")
        assert [] == told(server, SECOND)


def test_a_request_cannot_be_left_out_of_the_counts() -> None:
    """The exporter's decorator would promise that."""
    with pytest.raises(TypeError, match="SERVICE_SLO_EXCLUDE"):
        exporter.do_not_track()

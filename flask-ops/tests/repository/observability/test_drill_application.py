"""The faults of the drill's application break what they say, under Gunicorn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.exposition import value
from tests.process import REPOSITORY, Server, running, wait_until
from tests.servers import COMMANDS

ENV = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2", "PYTHONPATH": str(REPOSITORY)}


def scrape(server: Server) -> str:
    return server.manage("/metrics").body.decode()


def test_faults_break_what_they_say(tmp_path: Path) -> None:
    command = [COMMANDS["gunicorn"][0], "observability.drill.application:create_app()"]
    with running(command, tmp_path, ENV, ready="/readyz") as server:
        assert 500 == server.request("POST", "/faults/error").status
        assert 200 == server.request("POST", "/faults/slow?seconds=0.1").status
        assert b"1048576\n" == server.request("POST", "/faults/leak").body

        assert 200 == server.request("PUT", "/faults/dependency").status
        wait_until(lambda: server.manage("/readyz").status == 503, "not ready")
        assert 200 == server.request("DELETE", "/faults/dependency").status
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")

        before = value(scrape(server), "process_open_fds")
        assert b"50\n" == server.request("POST", "/faults/descriptors?count=50").body
        wait_until(lambda: value(scrape(server), "process_open_fds") >= before + 40, "open files")
        assert 200 == server.request("POST", "/faults/series?count=100").status
        wait_until(lambda: scrape(server).count("\nservice_faults_total{") == 100, "series")

        with pytest.raises(ConnectionError):
            server.request("POST", "/faults/crash")
        wait_until(lambda: value(scrape(server), "service_worker_exits_total", reason="crash") == 1, "a crash")

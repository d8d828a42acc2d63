"""The routes that cause faults on request, and the settings that allow them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops.core.settings import SettingsError
from service.app import create_app
from service.settings import Settings
from tests.exposition import value
from tests.process import Server, running, wait_until
from tests.servers import COMMANDS

ENV = {"SERVICE_ENV": "testing", "SERVICE_FAULTS": "true", "SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}


@pytest.mark.parametrize("environ", [{}, {"SERVICE_ENV": "testing"}, {"SERVICE_ENV": "development"}])
def test_without_the_setting_there_is_no_fault(environ: dict[str, str]) -> None:
    app = create_app(Settings.from_environ(environ))

    assert [] == [rule.rule for rule in app.url_map.iter_rules() if "fault" in rule.rule]


@pytest.mark.parametrize("environ", [{}, {"SERVICE_ENV": "production"}, {"FLASK_ENV": "production"}])
def test_production_refuses_the_setting(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="SERVICE_FAULTS is 'true', expected false in production"):
        Settings.from_environ({**environ, "SERVICE_FAULTS": "true"})


def scrape(server: Server) -> str:
    return server.manage("/metrics").body.decode()


@pytest.mark.system
def test_faults_break_what_they_say(tmp_path: Path) -> None:
    with running(COMMANDS["gunicorn"], tmp_path, ENV, ready="/readyz") as server:
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

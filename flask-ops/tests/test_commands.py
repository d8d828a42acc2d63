"""Each command of `docs/servers.md` serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.copies import copy_service
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, running, started

Commands = dict[str, tuple[list[str | Path], dict[str, str]]]

AS_THE_PAGE_SAYS: Commands = {
    "python -m service": ([BIN / "python", "-m", "service"], {"SERVICE_ENV": "production"}),
    "python -m flask_ops serve": ([BIN / "python", "-m", "flask_ops", "serve", "service.app:create_app()"], {}),
    "waitress-serve": ([BIN / "waitress-serve", "--listen=127.0.0.1:0", "--call", "service.app:create_app"], {}),
    "gunicorn": ([BIN / "gunicorn"], {}),
    "gunicorn -b": ([BIN / "gunicorn", "-b", "127.0.0.1:0", "service.app:create_app()"], {}),
    "uwsgi": (
        [BIN / "uwsgi", "--http", "127.0.0.1:0", "--wsgi-file", "deploy/uwsgi_app.py", "--processes", "2"],
        {},
    ),
    "uwsgi --ini": ([BIN / "uwsgi", "--ini", "deploy/uwsgi.ini"], {}),
}


@pytest.mark.parametrize("command", list(AS_THE_PAGE_SAYS))
def test_each_command_of_the_page_serves_the_four_endpoints(command: str, tmp_path: Path) -> None:
    """It warns once of an unknown variable."""
    arguments, env = AS_THE_PAGE_SAYS[command]
    given, copy = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_TREADS": "8"}, copy_service(tmp_path / "copy")
    with running(arguments, tmp_path, {**given, **env}, cwd=copy, ready="/readyz") as server:
        assert {"name", "version"} == set(server.get("/").json())
        assert server.get("/healthz").json() == {"status": "ok"}
        assert server.get("/readyz").json() == {"status": "ok"}
        for path in ("/healthz", "/readyz", "/metrics"):
            assert server.request("HEAD", path).status == 200
            assert server.get(path).headers["Cache-Control"] == "no-store"
        assert value(scrape(server), "flask_http_request_total", route="/", status="200") == 1
        assert server.line("request", route="/")["level"] == "info"
        assert "WARNING: This is a development server" not in server.text()
        warned = server.line("unknown variable")
        expected = ("warning", "SERVICE_TREADS", "SERVICE_THREADS")
        assert expected == (warned["level"], warned["variable"], warned["did_you_mean"])


@pytest.mark.system
@pytest.mark.parametrize("command", [*AS_THE_PAGE_SAYS, "development"])
def test_wrong_settings_stop_the_start_with_one_message_that_names_them_all(command: str, tmp_path: Path) -> None:
    commands: Commands = {**AS_THE_PAGE_SAYS, "development": ([BIN / "python", "-m", "service"], {})}
    arguments, env = commands[command]
    wrong = {"SERVICE_THREADS": "many", "SERVICE_LOG_LEVEL": "loud", "SERVICE_SECRET_KEY": "short"}

    copy = copy_service(tmp_path / "copy")
    with started(arguments, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", **env, **wrong}, cwd=copy) as server:
        assert server.process.wait(DEADLINE) == 78

        told = server.text()
        assert told.count("settings cannot be used") == 1
        for expected in (
            "SERVICE_THREADS is 'many', expected a whole number from 1 to 1000",
            "SERVICE_LOG_LEVEL is 'loud', expected one of debug, info, warning, error, critical",
            "SERVICE_SECRET_KEY is (not shown), expected at least 16 characters",
        ):
            assert expected in told
        assert "Traceback" not in told

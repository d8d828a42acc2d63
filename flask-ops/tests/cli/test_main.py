"""`python -m service`: the article's if/else without its faults."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.copies import copy_service
from tests.ports import free_port
from tests.process import BIN, DEADLINE, Server, clean_environ, running, started, wait_until

pytestmark = pytest.mark.system

COMMAND: list[str | Path] = [BIN / "python", "-m", "service"]
WARNING = "WARNING: This is a development server. Do not use it in a production deployment."
FREE = {"SERVICE_BIND": "127.0.0.1:0"}


def debugger_answers(server: Server) -> bool:
    """Return True if Werkzeug's debugger is on: it then serves its own files."""
    return server.get("/?__debugger__=yes&cmd=resource&f=style.css").headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("env", [{}, {"FLASK_ENV": "development"}])
def test_development_is_the_development_server_with_its_warning(env: dict[str, str], tmp_path: Path) -> None:
    with running(COMMAND, tmp_path, {**FREE, **env}) as server:
        assert WARNING in server.text()
        assert debugger_answers(server)
        assert server.get("/metrics").status == 200
        wait_until(lambda: "\x1b[" not in server.text().splitlines()[-1], "no colours into a file")
        assert not server.text().lstrip().startswith("{")
        server.get("/only-once")
        wait_until(lambda: "/only-once" in server.text(), "a line for the request")
        server.get("/another")
        wait_until(lambda: "/another" in server.text(), "a line for the next one")
        assert server.text().count("/only-once") == 1


def test_development_listens_on_port_5000_of_loopback_only(tmp_path: Path) -> None:
    with running(COMMAND, tmp_path, {"PORT": str(free_port())}) as server:
        addresses = {
            connection.laddr.ip
            for process in [psutil.Process(server.process.pid), *server.children()]
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert {"127.0.0.1"} == addresses


def test_development_refuses_an_address_that_others_can_reach(tmp_path: Path) -> None:
    with started(COMMAND, tmp_path, {"SERVICE_BIND": "0.0.0.0:0"}) as server:
        assert server.process.wait(DEADLINE) == 78
        assert "expected a loopback address" in server.text()


def test_development_reloads_when_a_file_changes(tmp_path: Path) -> None:
    copy = copy_service(tmp_path / "copy")

    with running(COMMAND, tmp_path, FREE, cwd=copy) as server:
        views = copy / "service" / "views.py"
        views.write_text(views.read_text().replace("name=settings.name", 'name="changed"'))
        wait_until(lambda: answers_name(server) == "changed", "the changed view answers")


def answers_name(server: Server) -> object:
    try:
        return server.get("/").json()["name"]
    except (OSError, http.client.HTTPException):  # one process has ended, and the next does not listen yet
        return None


@pytest.mark.parametrize(
    "env",
    [
        {"FLASK_ENV": "production"},
        {"SERVICE_ENV": "production", "FLASK_ENV": "development", "FLASK_DEBUG": "1"},
        {"SERVICE_ENV": "testing", "FLASK_DEBUG": "1"},
    ],
)
def test_production_is_waitress_without_a_debugger_whatever_is_set(env: dict[str, str], tmp_path: Path) -> None:
    with running(COMMAND, tmp_path, {**FREE, **env}) as server:
        assert server.get("/").headers["Server"] == "waitress"
        assert 'server="waitress"' in server.get("/metrics").body.decode()
        assert not debugger_answers(server)
        assert "development server" not in server.text()
        assert [line for line in server.text().splitlines() if not line.startswith("{")] == []
        assert f"127.0.0.1:{server.port}" == server.line("listening")["address"]


def test_what_is_printed_in_production_is_a_line_at_once(tmp_path: Path) -> None:
    copy = copy_service(tmp_path / "copy")
    with (copy / "service" / "views.py").open("a") as views:
        views.write("\nprint('printed while it is imported')\n")

    with running(COMMAND, tmp_path, {**FREE, "SERVICE_ENV": "production"}, cwd=copy) as server:
        assert "stdout" == server.line("printed while it is imported")["logger"]


@pytest.mark.parametrize("mode", ["production", "development"])
def test_a_port_that_is_taken_ends_the_start_with_one_message(mode: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with started(COMMAND, tmp_path, {"SERVICE_ENV": mode, "SERVICE_BIND": bind}) as server:
            assert server.process.wait(DEADLINE) == 1
            assert "Traceback" not in server.text()
            assert f"Address already in use by process {os.getpid()} (" in server.text()


def test_ctrl_c_in_development_is_no_error(tmp_path: Path) -> None:
    with running(COMMAND, tmp_path, FREE) as server:
        for child in server.children():  # a terminal signals the whole process group
            child.send_signal(signal.SIGINT)
        server.stop(signal.SIGINT)

        assert "Traceback" not in server.text()


@pytest.mark.parametrize("options", [["run"], ["run", "--debug"]])
def test_flask_run_is_refused_in_production(options: list[str], tmp_path: Path) -> None:
    with started([BIN / "flask", "--app", "service.app", *options], tmp_path) as server:
        assert server.process.wait(DEADLINE) == 78
        assert server.line(level="critical")["event"] == "flask run is disabled outside development"


def test_flask_run_serves_development(tmp_path: Path) -> None:
    command: list[str | Path] = [BIN / "flask", "--app", "service.app", "run", "--port", str(free_port())]
    with running(command, tmp_path, {"SERVICE_ENV": "development"}) as server:
        assert WARNING in server.text()


def test_other_commands_of_flask_work_in_production(tmp_path: Path) -> None:
    with started([BIN / "flask", "--app", "service.app", "routes"], tmp_path) as server:
        assert server.process.wait(DEADLINE) == 0
        assert "/healthz" in server.text()


SHOP = """
from flask import Flask
import flask_ops
from flask_ops.settings import setting, text

class Settings(flask_ops.Settings):
    database: str = setting("SERVICE_DATABASE", text(r".+", "a path"), help="The file.")

app = Flask(__name__)
flask_ops.Ops(app, Settings, probes=True)
app.add_url_rule("/", view_func=lambda: Settings.current().database)
"""


def test_serve_takes_the_settings_of_the_application(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command: list[str | Path] = [BIN / "python", "-m", "flask_ops", "serve", "shop:app", "--settings", "shop:Settings"]
    env = {**FREE, "SERVICE_DATABASE": "orders.db"}

    with running(command, tmp_path, env, cwd=tmp_path) as server:
        assert b"orders.db" == server.get("/").body
        assert [] == server.lines("unknown variable")
    with started(command, tmp_path, FREE, cwd=tmp_path) as server:
        assert 78 == server.process.wait(DEADLINE)
        assert ["SERVICE_DATABASE is not set, expected a path"] == server.line("settings cannot be used")["problems"]


def test_settings_that_cannot_be_imported_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP.replace("flask_ops.Ops", "# flask_ops.Ops"))
    for settings, reason in (
        ("shop", "'shop' is not MODULE:CLASS"),
        ("shop:app", "shop:app is not a class derived from flask_ops.Settings"),
        ("shop:Nope", "has no attribute 'Nope'"),
        ("nope:Settings", "No module named 'nope'"),
    ):
        command = [str(BIN / "python"), "-m", "flask_ops", "serve", "shop:app", "--settings", settings]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=False)

        assert 2 == done.returncode
        assert "error: argument --settings: " in done.stderr
        assert reason in done.stderr

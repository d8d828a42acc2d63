"""An application that replaces the threads of its process by gevent's greenlets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attach.servers import LOOPBACK, attached, served
from tests.check.checking import check
from tests.process import BIN, DEADLINE, Server, started, wait_until

pytestmark = pytest.mark.system

APPLICATION = """
{first}
from flask import Flask
{more}
app = Flask(__name__)
{last}
"""
PATCH = "import gevent.monkey; gevent.monkey.patch_all()"
ATTACHED = "from flask_ops import Ops; Ops(app)"
REASON = "gevent has replaced the threads of this process"
FREE = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1"}
UWSGI = ["--http-socket=127.0.0.1:0", "--master", "--enable-threads", "--need-app", "--single-interpreter"]
COMMANDS: dict[str, list[str | Path]] = {
    "gunicorn": [BIN / "gunicorn", "-c", "python:flask_ops.gunicorn", "shop:app"],
    "waitress": [BIN / "python", "-m", "flask_ops", "serve", "shop:app"],
    "uwsgi": [BIN / "uwsgi", *UWSGI, "--module=loaded:app"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an application in ``shop.py`` that patches at its first line, as gevent demands."""
    (tmp_path / "shop.py").write_text(APPLICATION.format(first=PATCH, more="", last=""))
    (tmp_path / "loaded.py").write_text("from flask_ops.uwsgi import load\napp = load('shop:app')\n")
    return tmp_path


def assert_refused(server: Server) -> None:
    assert 0 != server.process.wait(DEADLINE)
    line = server.line("greenlets cannot be used")
    assert ("critical", REASON) == (line["level"], line["reason"])
    assert "monkey.patch_all()" in line["hint"]
    assert "Traceback" not in server.text()
    assert [] == server.lines("exception ignored")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_our_servers_refuse_it_in_one_line(name: str, folder: Path) -> None:
    with started(COMMANDS[name], folder, FREE, cwd=folder) as server:
        assert_refused(server)


def test_a_patch_in_the_configuration_is_refused_too(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(f"{PATCH}\nfrom flask_ops.gunicorn import *\n")
    (folder / "shop.py").write_text(APPLICATION.format(first="", more="", last=""))

    with started([BIN / "gunicorn", "shop:app"], folder, FREE, cwd=folder) as server:
        assert_refused(server)


def test_a_reload_with_a_patch_is_refused(folder: Path) -> None:
    source = (folder / "shop.py").read_text()
    (folder / "shop.py").write_text(source.replace(PATCH, ""))
    with attached("shop:app", folder, [LOOPBACK, "--workers=1"]) as server:
        (folder / "shop.py").write_text(source)
        server.process.send_signal(1)
        line = server.line("reload refused")

        assert "exit code 78" in line["reason"]
        assert REASON == server.line("greenlets cannot be used")["reason"]
        assert 404 == server.get("/").status


@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_the_check_finds_it(server: str, folder: Path) -> None:
    found = check("shop:app", "--server", server, module="flask_ops", environ=FREE, cwd=folder)

    assert [f"It cannot be loaded: {REASON}."] == found.texts("application", "error")


def test_a_server_of_others_serves_with_a_warning(folder: Path) -> None:
    (folder / "shop.py").write_text(APPLICATION.format(first=PATCH, more="", last=ATTACHED))

    with served([BIN / "waitress-serve", "--listen=127.0.0.1:0", "shop:app"], folder, FREE) as server:
        line = wait_until(lambda: server.lines("greenlets serve the requests"), "the warning")[0]
        assert ("warning", REASON) == (line["level"], line["reason"])
        wait_until(lambda: server.lines("request"), "the line of the request")  # which follows its response

"""Every line of every phase is one JSON object, whichever code writes it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.copies import copy_service
from tests.process import BIN, DEADLINE, PROJECT, Server, running, started, wait_until
from tests.servers import UWSGI

pytestmark = pytest.mark.system

NOISE = "tests.log.noise:create_app"
ENV = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2", "SERVICE_THREADS": "2"}
COMMANDS: dict[str, list[str | Path]] = {
    "gunicorn": [BIN / "gunicorn", "--timeout", "2", f"{NOISE}()"],
    "waitress": [BIN / "python", "-m", "flask_ops", "serve", f"{NOISE}()"],
    "uwsgi": [*UWSGI, "--module", "tests.log.uwsgi_noise:application"],
}


def lines(text: str) -> list[dict[str, Any]]:
    """Return every line, each in the form that the README promises."""
    assert text.endswith("\n")
    found = []
    for line in text.split("\n")[:-1]:
        fields = json.loads(line)
        assert isinstance(fields, dict), line
        assert ["timestamp", "level", "event", "service"] == list(fields)[:4]
        datetime.fromisoformat(fields["timestamp"])
        assert fields["level"] in {"debug", "info", "warning", "error", "critical"}
        assert isinstance(fields["event"], str)
        found.append(fields)
    return found


def events(server: Server) -> set[str]:
    return {line["event"] for line in lines(server.text())}


def wait_for_workers(server: Server, count: int) -> None:
    """Wait until each worker has answered: uWSGI forwards no signal to a worker that still starts."""
    pids: set[int] = set()

    def ask() -> bool:
        pids.add(server.get("/whoami").json()["pid"])
        return len(pids) == count

    wait_until(ask, f"answers of {count} workers")


COMMANDS_THAT_READ_SETTINGS = [["gunicorn"], ["python", "-m", "service"], ["waitress-serve", "--call", NOISE]]
NOISES = {
    "printed {'a': 1}",
    "two",
    "lines",
    "written to stderr",
    "written to wsgi.errors",
    "written as bytes",
    "printed as before",
    "printed at the very end",
    "with arguments",
    "'%d' could not be formatted: TypeError",
    "<Silent> could not be formatted: RuntimeError",
    "bound",
    "ValueError: printed by traceback",
    "caught\nand told",
    "a group",
    "exception ignored",
    "uncaught exception",
    "TypeError: %d format: a real number is required, not str",
}
IMPORTED = {"while it is imported", "printed while it is imported"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_way_to_write_ends_in_the_log(name: str, tmp_path: Path) -> None:
    with running(COMMANDS[name], tmp_path, ENV) as server:
        assert 200 == server.get("/noise").status
        assert 500 == server.get("/boom").status
        wait_until(lambda: server.lines("request", route="/boom"), "the last line")
        wait_for_workers(server, 1 if name == "waitress" else 2)
        server.stop()
        text = server.text()

    if name == "uwsgi":  # its C code writes plain text
        text = "".join(f"{line}\n" for line in text.split("\n") if line.startswith("{"))
    written = lines(text)
    said = {line["event"] for line in written}
    assert said >= (NOISES | IMPORTED if name == "gunicorn" else NOISES)
    assert any("UserWarning: a warning" in line["event"] for line in written)
    assert "request_id" in next(line for line in written if line["event"] == "not ended")
    (told,) = [line for line in written if line["event"] == "ValueError: printed by traceback"]
    assert re.match(r"Traceback \(most recent call last\):\n  File .*", told["traceback"])
    (thread,) = [line for line in written if line.get("thread") == "noisy thread"]
    assert "in a thread" == thread["exception"][0]["exc_value"]
    (several,) = [line for line in written if line["event"] == "a group"]
    group, cause = several["exception"]
    assert "fail" == cause["frames"][-1]["name"]
    (inner,) = group["exceptions"][1]
    assert ("KeyError", ["a note"]) == (inner["exceptions"][0][0]["exc_type"], inner["exceptions"][0][0]["exc_notes"])
    ignored = [line["exception"][0]["exc_value"] for line in written if line["event"] == "exception ignored"]
    assert "in __del__" in ignored
    assert "at exit" in ignored or name == "uwsgi"


def test_every_phase_of_gunicorn_is_in_json(tmp_path: Path) -> None:
    """Start, more and fewer workers, a crash, a hang, a kill, a reload, SIGUSR1, SIGWINCH, and the stop."""
    with running(COMMANDS["gunicorn"], tmp_path, {**ENV, "SERVICE_LOG_LEVEL": "debug"}) as server:
        for path in ("/crash", "/hold?s=60"):
            with contextlib.suppress(OSError, http.client.HTTPException):
                server.get(path)
        wait_until(lambda: server.lines("worker ended", signal="SIGSEGV"), "a crash")
        wait_until(lambda: any("WORKER TIMEOUT" in event for event in events(server)), "a timeout")
        server.children()[0].kill()
        for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGWINCH, signal.SIGHUP):
            server.process.send_signal(number)
        wait_until(lambda: any("Hang up" in event for event in events(server)), "the reload")
        wait_until(lambda: len(server.children()) == 2, "two workers")
        assert 0 == server.stop()

        assert events(server) >= {"Handling signal: ttin", "Handling signal: usr1", "Shutting down: Master"}


@pytest.mark.parametrize(
    ("module", "options", "expected"),
    [
        ("import nothing_there", [], "ModuleNotFoundError"),
        ("def create_app(", [], "SyntaxError"),
        ("def create_app(): raise RuntimeError('two\\nlines')", [], "RuntimeError"),
        ("raise KeyboardInterrupt", [], "KeyboardInterrupt"),
        ("something_else = 1", [], "AppImportError"),
        ("import nothing_there", ["--preload"], "ModuleNotFoundError"),
        ("def create_app(): raise RuntimeError('two\\nlines')", ["--preload"], None),
    ],
)
def test_an_application_that_cannot_be_loaded_is_reported_in_json(
    module: str, options: list[str], expected: str | None, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(module)
    command: list[str | Path] = [BIN / "gunicorn", *options, "--pythonpath", tmp_path, "broken:create_app()"]
    with started(command, tmp_path, {**ENV, "WEB_CONCURRENCY": "1"}) as server:
        assert 0 != server.process.wait(DEADLINE)

    failures = [line for line in lines(server.text()) if "exception" in line]
    if expected is not None:
        assert {"error", "critical"} >= {line["level"] for line in failures}
        assert expected in [line["exception"][0]["exc_type"] for line in failures]


def test_what_gunicorn_prints_about_its_options_is_in_json(tmp_path: Path) -> None:
    """The log starts when Gunicorn has read its configuration file. Earlier errors cannot be in JSON."""
    env = {**ENV, "GUNICORN_CMD_ARGS": "--worker-class=nonsense.Worker"}
    with started([BIN / "gunicorn"], tmp_path, env) as server:
        assert 0 != server.process.wait(DEADLINE)

    assert any("nonsense" in line["event"] for line in lines(server.text()))


@pytest.mark.parametrize(
    "command",
    [
        ["gunicorn", "--preload"],
        ["python", "-m", "service"],
    ],
    ids=" ".join,
)
def test_an_interruption_while_it_starts_is_one_line(command: list[str], tmp_path: Path) -> None:
    """The interruption comes while the application is loaded."""
    shutil.copytree(PROJECT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "gunicorn.conf.py", tmp_path)
    (tmp_path / "service" / "views.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)")
    env = {**ENV, "SERVICE_ENV": "production"}
    with started([BIN / command[0], *command[1:]], tmp_path, env, cwd=tmp_path) as server:
        assert -signal.SIGINT == server.process.wait(DEADLINE)

    assert ["interrupted"] == [line["event"] for line in lines(server.text())]


@pytest.mark.parametrize("command", COMMANDS_THAT_READ_SETTINGS, ids=" ".join)
def test_wrong_settings_are_reported_in_json(command: list[str], tmp_path: Path) -> None:
    env = {**ENV, "SERVICE_ENV": "production", "SERVICE_THREADS": "many"}
    with started([BIN / command[0], *command[1:]], tmp_path, env) as server:
        assert 78 == server.process.wait(DEADLINE)

    critical = [line["event"] for line in lines(server.text()) if line["level"] == "critical"]
    assert ["settings cannot be used"] == critical


@pytest.mark.parametrize(
    "command",
    [
        [BIN / "python", "-m", "flask_ops", "serve", "service.app:create_app()"],
        [BIN / "uwsgi", "--ini", "deploy/uwsgi.ini"],
    ],
    ids=["waitress", "uwsgi"],
)
def test_import_errors_of_other_servers_are_in_json(command: list[str | Path], tmp_path: Path) -> None:
    copy_service(tmp_path)
    (tmp_path / "service" / "views.py").write_text("import nothing_there")
    with started(command, tmp_path, ENV, cwd=tmp_path) as server:
        assert 0 != server.process.wait(DEADLINE)

    written = server.text().splitlines(keepends=True)
    if "uwsgi" in str(command[0]):  # uWSGI starts with its own lines of text
        assert not [line for line in written if "Traceback" in line and not line.startswith("{")]
        written = [line for line in written if line.startswith("{")]
    failures = [line for line in lines("".join(written)) if "exception" in line]
    assert ["ModuleNotFoundError"] == [line["exception"][0]["exc_type"] for line in failures]

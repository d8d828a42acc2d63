from __future__ import annotations

import errno
import json
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from flask_ops.core import multiprocess
from flask_ops.core.http import Request
from flask_ops.core.settings import LogLevel
from flask_ops.log import levels
from flask_ops.management.levels import change, show
from tests.log.test_phases import COMMANDS, ENV
from tests.process import Server, running, wait_until

NAME = "tests.levels"


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Restore the levels, which belong to the whole process."""
    monkeypatch.setenv(multiprocess.VARIABLE, str(tmp_path))
    root = logging.getLogger().level
    yield
    for name in list(levels.overrides()):
        levels.override(name, None)
    logging.getLogger().setLevel(root)


def test_an_override_is_in_effect_until_it_is_taken_back() -> None:
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.ERROR)
    levels.override(NAME, LogLevel.DEBUG)
    assert logging.DEBUG == logger.level
    levels.override(NAME, LogLevel.INFO)
    assert logging.INFO == logger.level
    levels.override(NAME, None)

    assert logging.ERROR == logger.level


def test_overrides_of_invented_names_create_no_loggers() -> None:
    before = set(logging.root.manager.loggerDict)
    for number in range(200):
        name = f"{number % 3}.{number}" + ".x" * 40
        assert 200 == put(json.dumps({"level": "debug", "logger": name}).encode())[0]
        assert "debug" == json.loads(show().body)["loggers"][name]
        assert 200 == put(json.dumps({"level": None, "logger": name}).encode())[0]

    assert before == set(logging.root.manager.loggerDict)


def test_a_logger_that_is_created_later_gets_its_override() -> None:
    name = f"{NAME}.later"
    levels.override(name, LogLevel.DEBUG)
    try:
        logger = logging.getLogger(name)
        levels.configure(logger, logging.WARNING)
        levels.refresh()
        assert logging.DEBUG == logger.level
        levels.override(name, None)
        assert logging.WARNING == logger.level
    finally:
        del logging.root.manager.loggerDict[name]


def test_it_ends_by_itself_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    before = logging.getLogger().level
    levels.override("root", LogLevel.CRITICAL, 10)
    levels.refresh()
    assert logging.CRITICAL == logging.getLogger().level
    now += 10.1
    levels.refresh()

    assert before == logging.getLogger().level
    assert {} == levels.overrides()


def test_the_settings_do_not_end_it() -> None:
    """A reload reads the settings again. They apply after the override ends."""
    logger = logging.getLogger(NAME)
    levels.override(NAME, LogLevel.DEBUG)
    levels.configure(logger, logging.WARNING)
    assert (logging.DEBUG, logging.WARNING) == (logger.level, levels.configured(logger))
    levels.override(NAME, None)
    assert (logging.WARNING, logging.WARNING) == (logger.level, levels.configured(logger))
    levels.configure(logger, logging.INFO)

    assert logging.INFO == logger.level


def test_a_damaged_file_changes_nothing(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"x": 1}', '{"x": {"level": "loud", "until": null}}', '{"x": {}}'):
        (tmp_path / "log-levels.json").write_text(content)

        assert {} == levels.overrides()


def test_without_a_descriptor_the_overrides_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger(NAME)
    levels.override(NAME, LogLevel.DEBUG)
    with monkeypatch.context() as shortage:
        shortage.setattr(Path, "read_text", Mock(side_effect=OSError(errno.EMFILE, "no descriptor left")))
        levels.refresh()

    assert logging.DEBUG == logger.level


def put(body: bytes) -> tuple[int, str]:
    response = change(Request("PUT", "/loglevel", "", {}, body))
    return response.status, json.loads(response.body).get("detail", "")


WRONG = [
    (b"", "Expected a JSON object"),
    (b"[]", "Expected a JSON object"),
    (b'{"logger": "x"}', "Expected a JSON object"),
    (b'{"level": "debug", "secs": 1}', "Expected a JSON object"),
    (b"\xff", "Expected a JSON object"),
    (b"[" * 60_000, "Expected a JSON object"),
    (b'{"level": ' + b"[" * 900 + b"]" * 900 + b"}", "level: expected one of"),
    (b'{"level": "loud"}', "level: expected one of debug, info, warning, error, critical."),
    (b'{"level": 10}', "level: expected one of"),
    (b'{"level": "debug", "seconds": 0}', "seconds: expected a number above 0"),
    (b'{"level": "debug", "seconds": true}', "seconds: expected"),
    (b'{"level": "debug", "seconds": "5"}', "seconds: expected"),
    (b'{"level": "debug", "seconds": NaN}', "seconds: expected"),
    (b'{"level": "debug", "seconds": 1e99}', "seconds: expected"),
    (b'{"level": "debug", "logger": ""}', "logger: expected a name"),
    (b'{"level": "debug", "logger": 5}', "logger: expected a name"),
    (b'{"level": "debug", "logger": "\\ud800"}', "logger: expected a name"),
    (b'{"level": "debug", "logger": "a\\nb"}', "logger: expected a name"),
]


def test_a_wrong_request_is_told_what_would_be_right() -> None:
    for body, said in WRONG:
        status, detail = put(body)

        assert 400 == status
        assert detail.startswith(said)
        assert {} == levels.overrides()


def test_the_answer_shows_levels_and_overrides() -> None:
    logging.getLogger(f"{NAME}.child")
    assert 200 == put(json.dumps({"level": "DEBUG", "logger": NAME, "seconds": 60}).encode())[0]
    shown = json.loads(show().body)

    assert "debug" == shown["overridden"][NAME]["level"]
    assert shown["overridden"][NAME]["until"].endswith("Z")
    assert ("debug", "debug") == (shown["loggers"][NAME], shown["loggers"][f"{NAME}.child"])
    assert logging.getLevelName(logging.getLogger().level).lower() == shown["root"]


def test_a_name_that_no_text_can_have_breaks_no_answer() -> None:
    """A library may use such a name. The test removes it again."""
    name = f"{NAME}.\ud800"
    logging.getLogger(name)
    try:
        assert f"{NAME}.\\ud800" in json.loads(show().body)["loggers"]
        assert 200 == put(b'{"level": "debug"}')[0]
    finally:
        del logging.root.manager.loggerDict[name]


@pytest.mark.system
def test_there_is_an_end_to_what_can_be_overridden() -> None:
    for number in range(levels.MAX_OVERRIDES):
        assert 200 == put(json.dumps({"level": "debug", "logger": f"{NAME}.{number}"}).encode())[0]
    status, detail = put(json.dumps({"level": "debug", "logger": NAME}).encode())
    assert (409, True) == (status, detail.startswith("100 loggers are overridden"))
    assert NAME not in levels.overrides()

    assert 200 == put(json.dumps({"level": "info", "logger": f"{NAME}.1"}).encode())[0]
    assert 200 == put(json.dumps({"level": None, "logger": f"{NAME}.1"}).encode())[0]
    assert 200 == put(json.dumps({"level": "debug", "logger": NAME}).encode())[0]


def test_a_store_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(multiprocess.VARIABLE, "/nowhere")

    assert (503, "Cannot inform the other processes: No such file or directory.") == put(b'{"level": "debug"}')


def found(server: Server, workers: int, name: str = "some.library") -> set[str]:
    """Return the logger's levels in ``workers`` workers."""
    by_pid: dict[int, str] = {}

    def ask() -> bool:
        answer = server.get(f"/level?logger={name}").json()
        by_pid[answer["pid"]] = answer["level"]
        return len(by_pid) == workers

    wait_until(ask, f"answers of {workers} workers")
    return set(by_pid.values())


@pytest.mark.parametrize(("name", "workers"), [("gunicorn", 2), ("waitress", 1), ("uwsgi", 2)])
@pytest.mark.system
def test_a_level_changes_in_all_processes_at_once_and_falls_back(name: str, workers: int, tmp_path: Path) -> None:
    def change_to(**asked: object) -> None:
        assert 200 == server.manage("/loglevel", "PUT", body=json.dumps(asked).encode()).status

    with running(COMMANDS[name], tmp_path, ENV) as server:
        assert {"info"} == found(server, workers)
        change_to(level="debug")
        wait_until(lambda: found(server, workers) == {"debug"}, "all have the level of the root")
        change_to(level="error", logger="some.library", seconds=60)
        wait_until(lambda: found(server, workers) == {"error"}, "all have the level of the logger")
        if name == "gunicorn":
            before = {child.pid for child in server.children()}
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: before.isdisjoint(c.pid for c in server.children()), "new workers")
            wait_until(lambda: len(server.children()) == workers, "as many")
            # A new worker creates this logger in its first request, and the next refresh finds it.
            wait_until(lambda: found(server, workers) == {"error"}, "new workers have the level of the logger")
            assert {"debug"} == found(server, workers, "another")
            server.line("Handling signal: hup", level="info")
        change_to(level=None, logger="some.library")
        change_to(level="warning")
        wait_until(lambda: found(server, workers) == {"warning"}, "all are quiet")
        change_to(level="warning", seconds=1)
        wait_until(lambda: found(server, workers) == {"info"}, "all have fallen back")
        wait_until(lambda: server.manage("/loglevel").json()["root"] == "info", "who answers has, too")
        assert {} == server.manage("/loglevel").json()["overridden"]
        assert 400 == server.manage("/loglevel", "PUT", body=b'{"level": "loud"}').status
        assert (
            403 == server.manage("/loglevel", "PUT", {"Origin": "https://evil.example"}, b'{"level": "debug"}').status
        )

"""No log call raises, even if it is broken, and each writes its line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from flask_ops import log as logs
from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log import process_state
from tests.log.broken_calls import CALLS, Silent, foreign, lazy, own
from tests.log.test_line import FORMATS

Configure = Callable[..., None]

NAMES = {
    LogFormat.JSON: ("timestamp", "level", "event"),
    LogFormat.ECS: ("@timestamp", "log.level", "message"),
}


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Configure the log as the only one: pytest's own handlers raise for broken calls."""
    root = logging.getLogger()

    def configure(**environ: str) -> None:
        monkeypatch.setattr(root, "handlers", [])
        logs.configure(Settings.from_environ(environ))

    with process_state.preserved():
        yield configure
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("log_format", [*FORMATS, LogFormat.CONSOLE])
def test_a_broken_call_has_one_line_and_raises_nothing(
    log_format: LogFormat, configure: Configure, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(SERVICE_LOG_FORMAT=log_format, SERVICE_LOG_LEVEL="debug")
    for name, call in CALLS.items():
        call()
        text = capfd.readouterr().out

        assert text.endswith("\n"), name
        assert "Traceback" not in text, name
        if log_format is not LogFormat.CONSOLE:
            (line,) = map(json.loads, text.splitlines())
            _, level, event = NAMES[log_format]
            assert line[level] in {"debug", "info", "warning", "error"}, name
            assert isinstance(line[event], str), name


def test_the_line_says_what_it_can(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    expected = {
        "own, wrong arguments": "'%d' could not be formatted: TypeError",
        "foreign, wrong arguments": "'%d' could not be formatted: TypeError",
        "foreign, no repr": "<Silent> could not be formatted: RuntimeError",
        "foreign, lazy argument that fails": "'%s' could not be formatted: ConnectionError",
        "own, repr that exits": "'x' could not be formatted: SystemExit",
        "own, lazy value that fails": "x",
        "foreign, extra that fails": "x",
    }
    for name in expected:
        CALLS[name]()
    events = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]

    assert expected == dict(zip(expected, events, strict=True))


def test_a_level_between_is_the_lower_one(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    """There are five levels, even if a library has added others."""
    configure()
    logging.getLogger().setLevel(1)
    for number, level in [(5, "debug"), (25, "info"), (35, "warning"), (45, "error"), (99, "critical")]:
        foreign.log(number, "x")
        own.log(number, "x")

        assert [level, level] == [json.loads(line)["level"] for line in capfd.readouterr().out.splitlines()]


def test_a_broken_call_keeps_its_exception(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    for logger in (own, foreign):
        try:
            raise ValueError("the reason")
        except ValueError:
            logger.exception("%s", Silent())
        line = json.loads(capfd.readouterr().out)

        assert ("error", "ValueError") == (line["level"], line["exception"][0]["exc_type"])
        assert "'%s' could not be formatted: RuntimeError" == line["event"]


def test_what_fails_in_the_context_costs_no_line(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    structlog.contextvars.bind_contextvars(user=lazy, silent=Silent())
    own.info("one")
    foreign.info("two")

    assert ["one", "two"] == [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]


def test_a_filter_that_fails_costs_no_line(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise RuntimeError(record)

    configure()
    logging.getLogger().handlers[0].addFilter(fail)
    foreign.info("one")

    assert "'one' could not be formatted: RuntimeError" == json.loads(capfd.readouterr().out)["event"]


def test_a_filter_may_put_another_record_in_its_place(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """This is possible from Python 3.12 on."""
    configure()
    other = logging.makeLogRecord({"msg": "other", "levelno": logging.INFO})
    monkeypatch.setattr(logging.getLogger().handlers[0], "filter", lambda _record: other)
    foreign.info("one")

    assert "other" == json.loads(capfd.readouterr().out)["event"]


def test_a_call_from_the_end_of_the_stack_raises_nothing_else(
    configure: Configure, capfd: pytest.CaptureFixture[str]
) -> None:
    configure()

    def recurse(logger: Any) -> None:
        logger.warning("deeper")
        recurse(logger)

    for logger in (own, foreign):
        with pytest.raises(RecursionError):
            recurse(logger)
        logger.warning("still there")
        *_, last = capfd.readouterr().out.splitlines()

        assert "still there" == json.loads(last)["event"]


def test_ctrl_c_passes(configure: Configure) -> None:
    class Interrupted:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    configure()

    with pytest.raises(KeyboardInterrupt):
        foreign.info("%s", Interrupted())


SECRET = {"password": "hunter2"}


def test_the_arguments_of_a_text_are_masked(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    calls: list[tuple[tuple[Any, ...], str]] = [
        (("%s", SECRET), "{'password': '[masked]'}"),
        (("%(password)s", SECRET), "[masked]"),
        (("%s of %s", 1, [SECRET]), "1 of [{'password': '[masked]'}]"),
        (("%s of %s", "password", "two"), "password of two"),
        (("%s", (1, 2)), "(1, 2)"),
        (("%s", [{"a": {1}}]), "[{'a': {1}}]"),
    ]
    for args, event in calls:
        own.info(*args)
        foreign.info(*args)

        assert [event, event] == [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]


def test_a_message_that_is_no_text_is_masked_and_else_stays_as_it_is(
    configure: Configure, capfd: pytest.CaptureFixture[str]
) -> None:
    configure()
    for message in (SECRET, ValueError("wrong"), (1, 2)):
        foreign.info(message)
    expected = ["{'password': '[masked]'}", "wrong", "(1, 2)"]

    assert expected == [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]


def test_other_handlers_see_the_record_as_it_was_made(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    seen: list[logging.LogRecord] = []
    theirs = logging.Handler()
    theirs.emit = seen.append  # type: ignore[method-assign, assignment] # all it is to do
    logging.getLogger().addHandler(theirs)
    foreign.info("%s and %s", SECRET, 1)

    assert "hunter2" not in capfd.readouterr().out
    assert ("%s and %s", (SECRET, 1)) == (seen[0].msg, seen[0].args)

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pytest
import structlog

from flask_ops import log as logs
from flask_ops.core.context import RequestContext, current_request
from flask_ops.core.settings import Settings
from flask_ops.log import ReportedError, process_state
from flask_ops.log.request_log import RequestLog

Write = Callable[[], object]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

PASSWORD = "hunter2"


class Output:
    """The text written to file descriptor 1, which may differ from ``sys.stdout``."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def text(self) -> str:
        """Return the text written since the last call."""
        return self._capfd.readouterr().out

    def lines(self) -> list[dict[str, Any]]:
        """Return that text as JSON lines; any other line is an error."""
        text = self.text()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def line(self) -> dict[str, Any]:
        """Return the only line."""
        (line,) = self.lines()
        return line


@pytest.fixture
def output(capfd: pytest.CaptureFixture[str]) -> Output:
    """Read the log's output."""
    return Output(capfd)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Restore the log, the hooks and the context, which belong to the whole process."""
    logging.captureWarnings(False)
    with process_state.preserved(), structlog.contextvars.bound_contextvars():
        yield
        structlog.contextvars.clear_contextvars()


def settings(**environ: str) -> Settings:
    """Return the settings for these variables."""
    return Settings.from_environ(environ)


@contextlib.contextmanager
def serving(context: RequestContext) -> Iterator[None]:
    """Serve this request during the block."""
    token = current_request.set(context)
    try:
        yield
    finally:
        current_request.reset(token)


def own() -> structlog.stdlib.BoundLogger:
    """Return a logger like those of this service's modules."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("service.sample")
    return logger


def foreign() -> logging.Logger:
    """Return a logger like those of libraries."""
    return logging.getLogger("some.library")


def request_log() -> RequestLog:
    """Return the writer of request lines."""
    return RequestLog(settings())


def write_each_kind() -> None:
    """Write one line of each kind."""
    own().warning("hello")
    foreign().warning("hello")
    request_log().write("warning", {"hello": 1})


def test_a_line_has_the_fields_of_its_call(output: Output) -> None:
    """These are bound fields, fields of the call, and `extra`. They keep their types."""
    logs.configure(settings(SERVICE_NAME="shop"))
    own().bind(order=7).info("paid", amount=1.5, currency=None)
    own().info("%d of %s", 2, "three")
    foreign().warning("%d of %s", 2, "three", extra={"host": "db1"})
    RequestLog(settings(SERVICE_NAME="shop")).write("error", {"route": "/", "status": 500})
    ours = {"service": "shop", "logger": "service.sample"}
    expected = [
        {**ours, "level": "info", "event": "paid", "order": 7, "amount": 1.5, "currency": None},
        {**ours, "level": "info", "event": "2 of three"},
        {"service": "shop", "logger": "some.library", "level": "warning", "event": "2 of three", "host": "db1"},
        {"service": "shop", "level": "error", "event": "request", "route": "/", "status": 500},
    ]
    lines = output.lines()

    assert all(line.pop("timestamp") for line in lines)
    assert expected == lines


def test_every_line_begins_alike_and_says_when(output: Output) -> None:
    """People look at the first fields first. The time is RFC 3339 in UTC, with microseconds."""
    logs.configure(settings())
    before = datetime.now(UTC)
    write_each_kind()
    after = datetime.now(UTC)

    for line in output.lines():
        assert ["timestamp", "level", "event", "service"] == list(line)[:4]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert before <= datetime.fromisoformat(line["timestamp"]) <= after


def test_a_line_within_a_request_says_which_and_what_is_bound_to_its_context(output: Output) -> None:
    """The ids link the lines of this service and its callers. Without a trace, the line has no trace fields."""
    logs.configure(settings())
    with serving(RequestContext("request-1", "trace-1", "span-1")), structlog.contextvars.bound_contextvars(user="u1"):
        write_each_kind()
    with serving(RequestContext("request-2")):
        write_each_kind()
    write_each_kind()
    names = ("request_id", "trace_id", "span_id", "user")
    expected = [
        *[{"request_id": "request-1", "trace_id": "trace-1", "span_id": "span-1", "user": "u1"}] * 3,
        *[{"request_id": "request-2"}] * 3,
        *[{}] * 3,
    ]

    assert expected == [{name: line[name] for name in names if name in line} for line in output.lines()]


def test_a_line_about_another_request_names_that_one(output: Output) -> None:
    """The call's own values override the context."""
    logs.configure(settings())
    with serving(RequestContext("request-1", "trace-1", "span-1")):
        own().info("resumed", request_id="request-0")
    expected = "request-0"

    assert expected == output.line()["request_id"]


def fail(number: int) -> None:
    """Raise an exception with a cause, from a frame with a password."""
    password = PASSWORD
    try:
        raise KeyError(len(password))
    except KeyError as error:
        raise ValueError(f"number {number}") from error


def caught() -> ExcInfo:
    """Return a raised exception."""
    try:
        fail(7)
    except ValueError as error:
        return type(error), error, error.__traceback__
    raise AssertionError("it did not fail")


def test_an_exception_is_structured_and_shows_no_local_variables(output: Output) -> None:
    """The same line holds type, text and frames of the exception and its cause. Local variables can hold passwords."""
    expected = [("ValueError", "number 7", False, ["caught", "fail"]), ("KeyError", "7", True, ["fail"])]
    for log_format in ("json", "console"):
        logs.configure(settings(SERVICE_LOG_FORMAT=log_format))
        info = caught()
        for logger in (own(), foreign()):
            for exc_info in (info, info[1]):
                logger.error("failed", exc_info=exc_info)
        text = output.text()

        assert "number 7" in text
        assert PASSWORD not in text
        for line in map(json.loads, text.splitlines() if log_format == "json" else []):
            assert expected == [
                (each["exc_type"], each["exc_value"], each["is_cause"], [frame["name"] for frame in each["frames"]])
                for each in line["exception"]
            ]
            assert "failed" == line["event"]
            assert "exc_info" not in line


def test_exception_logs_the_one_that_is_handled(output: Output) -> None:
    """`exception()` within `except` needs no argument."""
    logs.configure(settings())
    for logger in (own(), foreign()):
        try:
            fail(7)
        except ValueError:
            logger.exception("failed")
        line = output.line()

        assert ("error", "number 7") == (line["level"], line["exception"][0]["exc_value"])


def test_an_uncaught_exception_is_one_line(output: Output) -> None:
    """Python would write a traceback of many lines to standard error."""
    logs.configure(settings())
    sys.excepthook(*caught())
    line = output.line()
    expected = ("critical", "uncaught exception", "ValueError")

    assert expected == (line["level"], line["event"], line["exception"][0]["exc_type"])


def test_an_end_by_ctrl_c_is_one_line_and_no_error(output: Output) -> None:
    """It has no traceback, because nothing failed. A reported error is in the log already."""
    logs.configure(settings())
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(ReportedError, ReportedError("told before"), None)
    line = output.line()

    assert ("warning", "interrupted") == (line["level"], line["event"])
    assert "exception" not in line


def test_an_uncaught_exception_in_a_thread_is_one_line_that_names_the_thread(output: Output) -> None:
    """Otherwise, the failure of a background task would stay unseen."""
    logs.configure(settings())
    thread = threading.Thread(target=fail, args=(7,), name="worker-7")
    thread.start()
    thread.join(10)
    line = output.line()
    expected = ("critical", "uncaught exception", "worker-7", "number 7")

    assert expected == (line["level"], line["event"], line["thread"], line["exception"][0]["exc_value"])


def test_a_thread_that_is_gone_has_no_name(output: Output) -> None:
    """At the interpreter's exit, the hook may get neither thread nor exception."""
    logs.configure(settings())
    threading.excepthook(threading.ExceptHookArgs((*caught(), None)))
    threading.excepthook(threading.ExceptHookArgs((ValueError, None, None, None)))
    expected = None

    assert expected is output.line()["thread"]


def test_a_servers_line_about_a_reported_exception_is_dropped(output: Output) -> None:
    """The server's line repeats an exception that is in the log already. The server's other lines stay."""
    logs.configure(settings())
    server = logging.getLogger("gunicorn.error")
    try:
        raise ReportedError("the response broke off") from ValueError("told before")
    except ReportedError:
        server.exception("Error handling request")
        server.error("Error handling request", exc_info=sys.exc_info())
        server.error("still here")
    server.error("this one too", exc_info=ValueError("new"))
    expected = ["still here", "this one too"]

    assert expected == [line["event"] for line in output.lines()]


LEVELS = ["debug", "info", "warning", "error", "critical"]


def test_only_lines_of_the_level_or_above_are_written(output: Output) -> None:
    """One setting covers our loggers, those of libraries, and requests."""
    for least in LEVELS:
        logs.configure(settings(SERVICE_LOG_LEVEL=least))
        expected = LEVELS[LEVELS.index(least) :]
        for logger in (own(), foreign()):
            for level in LEVELS:
                getattr(logger, level)("a line")

            assert expected == [line["level"] for line in output.lines()]
        log = request_log()

        assert expected == [level for level in LEVELS if log.is_enabled(getattr(logging, level.upper()))]


def test_the_last_configuration_counts(output: Output) -> None:
    """A second application does not double the lines. A logger created before also follows."""
    for make in (own, foreign):
        logs.configure(settings(SERVICE_NAME="first"))
        logger: Any = make()
        logger.info("one")
        logs.configure(settings(SERVICE_NAME="second", SERVICE_LOG_LEVEL="warning"))
        logger.info("two")
        logger.warning("three")

        assert [("first", "one"), ("second", "three")] == [(line["service"], line["event"]) for line in output.lines()]


def test_handlers_of_others_stay() -> None:
    """An error reporter installed before still gets its records."""
    theirs = logging.NullHandler()
    logging.getLogger().addHandler(theirs)
    logs.configure(settings())
    try:
        assert theirs in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(theirs)


def test_a_configuration_of_others_that_leaves_root_alone_changes_nothing(output: Output) -> None:
    """The README recommends this configuration."""
    logs.configure(settings())
    loggers = {"some": {"level": "DEBUG", "handlers": ["theirs"]}}
    theirs = {"theirs": {"class": "logging.NullHandler"}}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": theirs, "loggers": loggers})
    try:
        foreign().debug("one", extra={"password": PASSWORD})
        request_log().write("info", {"route": "/"})
    finally:
        logging.getLogger("some").handlers.clear()
        logging.getLogger("some").setLevel(logging.NOTSET)
    one, request = output.lines()

    assert ("one", "[masked]") == (one["event"], one["password"])
    assert "request" == request["event"]
    assert request_log().is_enabled(logging.INFO)


def test_a_warning_of_python_is_a_line(output: Output) -> None:
    """Each deprecation is one line in the log."""
    logs.configure(settings())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)
    line = output.line()
    expected = ("warning", "py.warnings")

    assert expected == (line["level"], line["logger"])
    assert "DeprecationWarning: this is old" in line["event"]


def test_the_console_format_is_for_people(output: Output) -> None:
    """One line has time, level, event, and fields in the order of the call. Without a terminal there are no colours."""
    console = settings(SERVICE_LOG_FORMAT="console")
    logs.configure(console)
    with serving(RequestContext("request-1")):
        own().warning("hello", answer=42, ant=2)
        foreign().warning("hello", extra={"answer": 42, "ant": 2})
        RequestLog(console).write("warning", {"event": "hello", "answer": 42, "ant": 2})
    lines = output.text().splitlines()

    assert 3 == len(lines)
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[warning *\] hello ", line)
        assert " answer=42 ant=2" in line
        assert " request_id=request-1" in line
        assert "\x1b" not in line


def test_the_console_format_shows_a_traceback_as_python_does(output: Output) -> None:
    """The traceback has the cause, over several lines."""
    logs.configure(settings(SERVICE_LOG_FORMAT="console"))
    own().error("failed", exc_info=caught())
    text = output.text()

    assert "Traceback (most recent call last):\n" in text
    assert "KeyError: 7\n" in text
    assert "ValueError: number 7\n" in text


def test_lines_of_threads_do_not_mix(output: Output) -> None:
    """Each line is one write."""
    logs.configure(settings())
    filling = "x" * 3000
    barrier = threading.Barrier(8)

    def write(name: int) -> None:
        barrier.wait(10)
        for number in range(25):
            (own() if number % 2 else foreign()).warning(f"{name}-{number}-{filling}")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = {f"{name}-{number}-{filling}" for name in range(8) for number in range(25)}
    lines = output.lines()

    assert expected == {line["event"] for line in lines}
    assert len(expected) == len(lines)


def test_the_log_is_written_past_the_buffer_of_python(output: Output) -> None:
    """The line is written when the call returns, even if `sys.stdout` was replaced or is never flushed."""
    logs.configure(settings())
    with contextlib.redirect_stdout(None):
        own().info("written")
    expected = "written"

    assert expected == output.line()["event"]


def test_foreign_fields_do_not_hide_ours(capfd: pytest.CaptureFixture[str]) -> None:
    """A library's own fields event, level or service do not replace ours."""
    logs.configure(settings())
    extra = {"event": "other", "level": 5, "timestamp": "t", "service": "s", "logger": "z"}
    logging.getLogger("a.library").warning("message", extra=extra)
    structlog.get_logger("ours").warning("message", timestamp="t", service="s")

    for line in map(json.loads, capfd.readouterr().out.splitlines()):
        expected = ("message", "warning", "t", "s")
        assert expected == (line["event"], line["level"], line["timestamp_"], line["service_"])
        assert line["timestamp"].endswith("Z")


def test_a_settings_object_in_a_line_shows_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    """The line shows the repr of a dataclass."""
    logs.configure(settings())
    secret = settings(SERVICE_SECRET_KEY="0123456789abcdef-secret")

    structlog.get_logger("ours").warning("settings", settings=secret)

    line = capfd.readouterr().out
    assert "log_level" in line
    assert "0123456789abcdef" not in line

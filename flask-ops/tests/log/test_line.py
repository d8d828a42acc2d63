from __future__ import annotations

import json
import time
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log.line import Lines
from tests.fuzzing import TEXT, VALUES, fuzzed
from tests.log.broken_calls import Silent
from tests.log.test_output import stdout_is

NAMES = (
    *("timestamp", "level", "event", "service", "logger", "exception", "stack", "status", "duration_ms", "trace_flags"),
    *("request_id", "route", "outcome", "shortened", "labels", "attributes", "error.type", "body", "thread"),
)
EVENT = {LogFormat.JSON: "event", LogFormat.ECS: "message"}
FORMATS = list(EVENT)
LIMIT = 4096


def lines(**environ: str) -> Lines:
    return Lines(Settings.from_environ(environ))


def assert_safe(line: bytes) -> None:
    """No reader takes the line for two, and no terminal takes a command from it."""
    (text,) = line.decode().splitlines()
    assert not {category(character) for character in text} & {"Zl", "Zp"}
    assert not {"\u202e", "\u2066", *map(chr, range(0x80, 0xA0)), *map(chr, range(0x20))} & {*text}


def test_a_text_cannot_end_its_line_or_control_a_terminal() -> None:
    """JSON itself escapes only the control characters below 0x20."""
    odd = "x\n\r\x1b[2J\x85\x9b2J\u2028\u2029\u202e\u2066x \N{SNOWMAN}"
    for log_format, name in EVENT.items():
        for more in ({}, {"big": 2**70}):  # which orjson refuses
            made = lines(SERVICE_LOG_FORMAT=log_format).make(
                {"level": "info", "event": odd, odd: odd, "deep": {odd: [odd]}, "exc_info": ValueError(odd), **more}
            )

            assert_safe(made)
            assert odd == json.loads(made)[name]
            assert "\N{SNOWMAN}" in made.decode()


def test_the_time_is_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {
        1_767_323_045_000_006_999: "2026-01-02T03:04:05.000006Z",
        1_767_323_045_999_999_999: "2026-01-02T03:04:05.999999Z",
        1_767_323_046_000_000_000: "2026-01-02T03:04:06.000000Z",
        1_767_323_045_500_000_000: "2026-01-02T03:04:05.500000Z",  # the clock was set back
    }
    for nanoseconds, expected in times.items():
        monkeypatch.setattr(time, "time_ns", lambda nanoseconds=nanoseconds: nanoseconds)

        assert expected == json.loads(lines().make({"level": "info", "event": "x"}))["timestamp"]


def test_an_event_that_is_no_text_becomes_one() -> None:
    events: list[tuple[object, str]] = [
        ({"password": "hunter2", "a": 1}, '{"password":"[masked]","a":1}'),
        ([1, "two"], '[1,"two"]'),
        (7, "7"),
        (None, "null"),
        (b"bytes", "b'bytes'"),
        (ValueError("wrong"), "ValueError('wrong')"),
        (Silent(), "<Silent: repr raised RuntimeError>"),
        (LogFormat.JSON, "json"),
    ]
    for log_format, name in EVENT.items():
        make = lines(SERVICE_LOG_FORMAT=log_format).make

        assert [expected for _, expected in events] == [
            json.loads(make({"level": "info", "event": event}))[name] for event, _ in events
        ]


def test_the_limit_depends_on_where_the_line_goes(tmp_path: Any) -> None:
    fields = {"level": "info", "event": "x", "body": "y" * 100_000}
    with (tmp_path / "file").open("wb") as file, stdout_is(file.fileno()):
        assert 60_000 < len(lines().make(dict(fields))) <= 65536
        assert len(lines(SERVICE_LOG_MAX_LINE_BYTES="2000").make(dict(fields))) <= 2000
        assert len(lines(SERVICE_LOG_MAX_LINE_BYTES="200000").make(dict(fields))) > 100_000
    with (tmp_path / "null").open("wb"), open("/dev/null", "wb") as null, stdout_is(null.fileno()):  # noqa: PTH123 - not a path of ours
        assert len(lines(SERVICE_LOG_MAX_LINE_BYTES="200000").make(dict(fields))) <= 4096


@fuzzed
@given(st.sampled_from(FORMATS), st.dictionaries(st.one_of(TEXT, st.sampled_from(NAMES)), VALUES, max_size=6), VALUES)
@pytest.mark.system
def test_every_line_of_every_format_is_valid_and_fits(
    log_format: LogFormat, fields: dict[str, Any], event: Any
) -> None:
    fields.pop("exc_info", None)
    make = lines(SERVICE_LOG_FORMAT=log_format, SERVICE_LOG_MAX_LINE_BYTES=str(LIMIT)).make
    line = make({**fields, "level": "info", "event": event})
    read = json.loads(line.decode("utf-8"))

    assert line.endswith(b"\n")
    assert_safe(line)
    assert isinstance(read[EVENT[log_format]], str)
    assert len(line) <= LIMIT

"""The format for people: any line, and no longer than its destination allows."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log.line import Lines
from tests.fuzzing import TEXT, VALUES, fuzzed
from tests.log.test_line import NAMES
from tests.log.test_output import stdout_is

LIMIT = 4096


def console(**fields: Any) -> bytes:
    """Return the line with these fields."""
    line = Lines(Settings.from_environ({"SERVICE_LOG_FORMAT": LogFormat.CONSOLE}))
    return line.make({"level": "info", "event": "paid", **fields})


@contextmanager
def on_a_pipe() -> Iterator[None]:
    """Use a pipe as standard output during the block."""
    reader, writer = os.pipe()
    with stdout_is(writer):
        yield
    os.close(reader)
    os.close(writer)


def sink_to(depth: int) -> None:
    if depth:
        sink_to(depth - 1)
    bottom()


def bottom() -> None:
    raise ValueError("at the \N{PILE OF POO} bottom")


def test_on_a_pipe_a_line_is_no_longer_than_it_takes_at_once() -> None:
    with pytest.raises(ValueError, match="bottom") as raised:
        sink_to(100)
    with on_a_pipe():
        line = console(exc_info=raised.value, body="\N{SNOWMAN}" * 100_000)
    begin, end = line.decode().split(" ... shortened ... ")

    assert LIMIT - 10 < len(line) <= LIMIT
    assert " [info     ] paid " in begin
    assert " in bottom\n" in end
    assert end.endswith("\nValueError: at the \N{PILE OF POO} bottom\n")


@pytest.mark.parametrize("size", [10, 3900])
def test_what_fits_is_left_alone(size: int) -> None:
    with on_a_pipe():
        line = console(body="x" * size).decode()

    assert f"body={'x' * size}\n" in line


def test_on_a_terminal_a_line_is_as_long_as_it_is() -> None:
    main, terminal = pty.openpty()
    with stdout_is(terminal):
        line = console(body="x" * 100_000)
    os.close(main)
    os.close(terminal)

    assert "x" * 100_000 in line.decode()


@pytest.mark.parametrize("value", [["a"], {"a": 1}, 7, None])
@pytest.mark.parametrize("name", ["stack", "exception"])
def test_a_field_called_like_a_traceback_is_a_field(name: str, value: object) -> None:
    assert f" {name}_={value!r}" in console(**{name: value}).decode()


@fuzzed
@given(st.dictionaries(st.one_of(TEXT, st.sampled_from(NAMES)), VALUES, max_size=6))
@pytest.mark.system
def test_no_value_stops_it(fields: dict[str, Any]) -> None:
    fields.pop("exc_info", None)
    with on_a_pipe():
        line = console(**{**fields, "level": "info", "event": "x"})

    assert line.endswith(b"\n")
    assert len(line) <= LIMIT

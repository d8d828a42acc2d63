"""The format for people: any line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log.line import Lines
from tests.fuzzing import TEXT, VALUES, fuzzed
from tests.log.test_line import NAMES


def console(**fields: Any) -> bytes:
    """Return the line with these fields."""
    line = Lines(Settings.from_environ({"SERVICE_LOG_FORMAT": LogFormat.CONSOLE}))
    return line.make({"level": "info", "event": "paid", **fields})


def test_a_line_is_as_long_as_it_is() -> None:
    assert f"body={'x' * 100_000}\n" in console(body="x" * 100_000).decode()


def test_a_field_called_like_a_traceback_is_a_field() -> None:
    for name in ("stack", "exception"):
        for value in (["a"], {"a": 1}, 7, None):
            assert f" {name}_={value!r}" in console(**{name: value}).decode()


@fuzzed
@given(st.dictionaries(st.one_of(TEXT, st.sampled_from(NAMES)), VALUES, max_size=6))
@pytest.mark.system
def test_no_value_stops_it(fields: dict[str, Any]) -> None:
    fields.pop("exc_info", None)
    assert console(**{**fields, "level": "info", "event": "x"}).endswith(b"\n")

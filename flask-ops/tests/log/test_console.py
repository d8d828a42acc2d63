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


class Forger:
    def __repr__(self) -> str:
        return FORGED


FORGED = "x\n2026-01-01T00:00:00Z [info     ] forged\r\x1b[2J\x9b2J\u2028\u202e"
VISIBLE = r"x\n2026-01-01T00:00:00Z [info     ] forged\r\x1b[2J\x9b2J\u2028\u202e"


def assert_safe(text: str) -> None:
    """Only the first line is at the margin, and no terminal takes a command."""
    assert text.endswith("\n")
    assert [] == [line for line in text.splitlines()[1:] if line and not line.startswith("    ")]
    assert not {"\r", "\x1b", "\x9b", "\u202e"} & {*text}


def test_no_value_begins_a_line_or_controls_the_terminal() -> None:
    one_line: list[dict[str, Any]] = [
        {"event": FORGED},
        {"a": FORGED},
        {"a": Forger()},
        {FORGED: 1},
        {"logger": FORGED},
    ]
    several: list[dict[str, Any]] = [{"exc_info": ValueError(FORGED)}, {"stack": FORGED}]
    for fields in one_line:
        text = console(**fields).decode()

        assert_safe(text)
        assert VISIBLE in text
        assert 1 == text.count("\n")
    for fields in several:
        text = console(**fields).decode()

        assert_safe(text)
        assert "    2026-01-01T00:00:00Z [info     ] forged\\r\\x1b[2J" in text


@fuzzed
@given(st.dictionaries(st.one_of(TEXT, st.sampled_from(NAMES)), VALUES, max_size=6))
@pytest.mark.system
def test_no_value_stops_it(fields: dict[str, Any]) -> None:
    fields.pop("exc_info", None)
    assert_safe(console(**{**fields, "level": "info", "event": "x"}).decode())

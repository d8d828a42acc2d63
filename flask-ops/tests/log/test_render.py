from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any

import pytest

from flask_ops.log.render import render_json

BIG = 2**70
"""An integer that orjson refuses, so that the whole line takes the slower path."""

Nested = dict[str, Any]


class Colour(StrEnum):
    """An enumeration of text."""

    RED = "red"


class Code(IntEnum):
    """An enumeration of numbers."""

    TEN = 10


class Broken:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Opaque:
    """An object without a form in JSON."""

    def __repr__(self) -> str:
        return "<opaque>"


class Surrogate:
    """An object whose repr cannot be encoded."""

    def __repr__(self) -> str:
        return "<\ud800>"


def rendered(fields: Mapping[str, Any]) -> Any:
    """Render a line, and read it as strictly as a log collector does: one record a line."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)

    line = render_json(fields)
    assert b"\n" not in line
    return json.loads(line.decode(), parse_constant=refuse, object_pairs_hook=unique)


@pytest.mark.parametrize("also", [{}, {"big": BIG}], ids=["fast path", "slow path"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("two\nlines\x1b\x00", "two\nlines\x1b\x00"),
        ("\N{SNOWMAN} \N{PILE OF POO}", "\N{SNOWMAN} \N{PILE OF POO}"),
        (1, 1),
        (-1.5, -1.5),
        (True, True),
        (False, False),
        (None, None),
        ([1, "a", None], [1, "a", None]),
        ((1, 2), [1, 2]),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
        ({1: "one"}, {"1": "one"}),
        ([], []),
        ({}, {}),
        (Colour.RED, "red"),
        (Code.TEN, 10),
        (b"bytes", "b'bytes'"),
        ({1}, "{1}"),
        (PurePosixPath("/tmp/x"), "PurePosixPath('/tmp/x')"),  # noqa: S108 - only a name
        (Opaque(), "<opaque>"),
        ([Opaque()], ["<opaque>"]),
        (ValueError("wrong"), "ValueError('wrong')"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2, 3), "01:02:03"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (math.nan, None),
        (-math.inf, None),
    ],
)
def test_a_value_is_rendered_the_same_on_both_paths(value: object, expected: object, also: dict[str, int]) -> None:
    """A value that orjson refuses does not change the form of the other values."""
    line = rendered({"value": value, **also})

    assert {"value": expected, **also} == line
    assert type(expected) is type(line["value"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(2**63, 2**63, id="unsigned 64 bits"),
        pytest.param(BIG, BIG, id="more than 64 bits"),
        pytest.param(-BIG, -BIG, id="less than 64 bits"),
        pytest.param("a\ud800b", "a\\ud800b", id="lone surrogate"),
        pytest.param({"k\udfff": 1}, {"k\\udfff": 1}, id="lone surrogate in a key"),
        pytest.param({"k": ["\ud800"]}, {"k": ["\\ud800"]}, id="lone surrogate within"),
        pytest.param(Surrogate(), "<\\ud800>", id="lone surrogate in a repr"),
        pytest.param(Broken(), "<Broken: repr raised RuntimeError>", id="repr raises"),
        pytest.param([1, Broken()], [1, "<Broken: repr raised RuntimeError>"], id="repr raises within"),
        pytest.param({(1, 2): "pair"}, {"[1, 2]": "pair"}, id="a pair as key"),
        pytest.param({Opaque(): 1}, {"<opaque>": 1}, id="an object as key"),
        pytest.param({Broken(): 1}, {"<Broken: repr raised RuntimeError>": 1}, id="a key whose repr raises"),
        pytest.param([BIG, math.nan], [BIG, None], id="not a number"),
        pytest.param([BIG, math.inf, -math.inf], [BIG, None, None], id="infinity"),
        pytest.param({True: 1, None: 2, 1.5: 3}, {"true": 1, "null": 2, "1.5": 3}, id="constants as keys"),
        pytest.param({date(2026, 1, 2): 1}, {"2026-01-02": 1}, id="a date as key"),
        pytest.param([BIG, time(1, 2, tzinfo=UTC)], [BIG, repr(time(1, 2, tzinfo=UTC))], id="a time with a zone"),
    ],
)
def test_what_orjson_refuses_is_rendered_all_the_same(value: object, expected: object) -> None:
    """No value loses the line, whether a client sends it or an application counts it."""
    fields: Mapping[str, object] = {"event": "e", "value": value, "after": 1}

    assert {"event": "e", "value": expected, "after": 1} == rendered(fields)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_know_is_no_number(value: float) -> None:
    """Strict readers cannot read a line with `NaN` or `Infinity`."""
    expected = {"value": None}

    assert expected == rendered({"value": value})


def test_a_time_is_rendered_in_utc() -> None:
    """RFC 3339 writes it with `Z`."""
    expected = {"at": "2026-01-02T03:04:05.000006Z"}

    assert expected == rendered({"at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)})


def test_an_id_is_rendered_as_its_usual_text() -> None:
    """The call needs no `str()` for a UUID."""
    expected = "0190163d-8694-739b-aea5-966c26f8ad91"

    assert {"id": expected} == rendered({"id": uuid.UUID(expected)})


@pytest.mark.parametrize("last", [1, BIG], ids=["fast path", "slow path"])
def test_fields_keep_their_order(last: int) -> None:
    """The reader looks at the first fields first."""
    expected = ["timestamp", "level", "event", "a", "z", "b"]

    assert expected == list(rendered({"timestamp": 1, "level": 2, "event": 3, "a": 4, "z": 5, "b": last}))


def test_text_is_rendered_readably() -> None:
    """People read logs too, so text is escaped only if necessary."""
    assert "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n" in render_json({"x": "gr\xfcn"}).decode()


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_deep_structures_end_as_text(kind: str) -> None:
    """The line is the first of 16 levels of structure. Deeper levels become text."""
    deep: object = BIG
    for _ in range(30):
        deep = [deep] if kind == "list" else {"k": deep}
    expected = 16

    value, levels = rendered({"k": deep}), 0
    while not isinstance(value, str):
        value = value[0] if isinstance(value, list) else value["k"]
        levels += 1

    assert expected == levels
    assert str(BIG) in value


@pytest.mark.parametrize("levels", [300, 100_000])
def test_no_depth_loses_the_line(levels: int) -> None:
    """The depths exceed the limits of orjson and of Python's recursion."""
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]

    expected = "e"

    assert expected == rendered({"event": "e", "deep": deep})["event"]


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_a_structure_that_holds_itself_is_rendered(kind: str) -> None:
    """It is cut off like any other structure that is too deep."""
    circle: list[Any] = []
    ring: Nested = {}
    circle.append(circle)
    ring["ring"] = ring

    expected = "e"

    assert expected == rendered({"event": "e", "value": circle if kind == "list" else ring})["event"]

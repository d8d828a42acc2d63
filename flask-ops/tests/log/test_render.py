from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any

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


VALUES: list[tuple[object, object]] = [
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
    (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
]
REFUSED: list[tuple[object, object]] = [
    (2**63, 2**63),
    (BIG, BIG),
    (-BIG, -BIG),
    ("a\ud800b", "a\\ud800b"),
    ({"k\udfff": 1}, {"k\\udfff": 1}),
    ({"k": ["\ud800"]}, {"k": ["\\ud800"]}),
    (Surrogate(), "<\\ud800>"),
    (Broken(), "<Broken: repr raised RuntimeError>"),
    ([1, Broken()], [1, "<Broken: repr raised RuntimeError>"]),
    ({(1, 2): "pair"}, {"[1, 2]": "pair"}),
    ({Opaque(): 1}, {"<opaque>": 1}),
    ({Broken(): 1}, {"<Broken: repr raised RuntimeError>": 1}),
    ([BIG, math.nan], [BIG, None]),
    ([BIG, math.inf, -math.inf], [BIG, None, None]),
    ({True: 1, None: 2, 1.5: 3}, {"true": 1, "null": 2, "1.5": 3}),
    ({date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    ([BIG, time(1, 2, tzinfo=UTC)], [BIG, repr(time(1, 2, tzinfo=UTC))]),
]
"""Values that orjson refuses."""


def test_a_value_is_rendered_the_same_on_both_paths() -> None:
    """A value that orjson refuses does not change the form or the order of the other values."""
    for also in ({}, {"big": BIG}):
        for value, expected in VALUES:
            line = rendered({"value": value, **also, "after": 1})

            assert {"value": expected, **also, "after": 1} == line
            assert ["value", *also, "after"] == list(line)
            assert type(expected) is type(line["value"])


def test_what_orjson_refuses_is_rendered_all_the_same() -> None:
    """No value loses the line, whether a client sends it or an application counts it."""
    for value, expected in REFUSED:
        assert {"event": "e", "value": expected, "after": 1} == rendered({"event": "e", "value": value, "after": 1})


def test_text_is_rendered_readably() -> None:
    """People read logs too, so text is escaped only if necessary."""
    assert "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n" in render_json({"x": "gr\xfcn"}).decode()


def test_deep_structures_end_as_text() -> None:
    """The line is the first of 16 levels of structure. Deeper levels become text."""
    for wrap in (lambda value: [value], lambda value: {"k": value}):
        deep: Any = BIG
        for _ in range(30):
            deep = wrap(deep)
        value, levels = rendered({"k": deep}), 0
        while not isinstance(value, str):
            value = value[0] if isinstance(value, list) else value["k"]
            levels += 1

        assert 16 == levels
        assert str(BIG) in value


def test_no_depth_and_no_circle_loses_the_line() -> None:
    """The depths exceed the limits of orjson and of Python's recursion."""
    circle: list[Any] = []
    ring: dict[str, Any] = {}
    deep: list[Any] = []
    deeper: list[Any] = []
    circle.append(circle)
    ring["ring"] = ring
    for _ in range(300):
        deep = [deep]
    for _ in range(100_000):
        deeper = [deeper]
    for value in (circle, ring, deep, deeper):
        assert "e" == rendered({"event": "e", "value": value})["event"]

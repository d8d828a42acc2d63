"""JSON responses, which are equal to those of Flask's own provider."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import pytest
from flask import Flask, jsonify

from flask_ops.web.json_provider import JSONProvider


@dataclasses.dataclass
class Point:
    x: int
    y: int


def with_orjson() -> Flask:
    app = Flask("service")
    app.json = JSONProvider(app)
    return app


VALUES: list[Any] = [
    None,
    {},
    [],
    {"b": 1, "a": [True, None, 1.5, "snow\N{SNOWMAN}"]},
    "text",
    2**70,
    {1: "a key that is no string"},
    dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC),
    dt.date(2026, 11, 22),
    decimal.Decimal("1.5"),
    uuid.UUID(int=1),
    Point(1, 2),
    "\ud800",
    (1, 2),
]


def answers(app: Flask, value: Any) -> tuple[Any, str | None]:
    with app.app_context():
        response = jsonify(value)
        return json.loads(response.data), response.mimetype


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_means_what_flask_would_answer(value: Any) -> None:
    assert answers(Flask("plain"), value) == answers(with_orjson(), value)


def test_arguments_are_taken_as_jsonify_documents_it() -> None:
    app = with_orjson()
    with app.app_context():
        assert b"null\n" == jsonify().data
        assert b"[1,2]\n" == jsonify(1, 2).data
        assert b'{"a":1,"b":2}\n' == jsonify(b=2, a=1).data
        with pytest.raises(TypeError, match="args or kwargs"):
            jsonify(1, a=2)


def test_what_is_no_number_is_null_whatever_is_beside_it() -> None:
    with with_orjson().app_context():
        assert (
            b'{"a":null,"b":"Sun, 22 Nov 2026 00:00:00 GMT"}\n' == jsonify(a=float("nan"), b=dt.date(2026, 11, 22)).data
        )


def test_the_providers_settings_hold() -> None:
    app = with_orjson()
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the default provider
    with app.app_context():
        assert b'{"b":1,"a":2}\n' == jsonify({"b": 1, "a": 2}).data
        app.json.compact = False  # type: ignore[attr-defined] # likewise
        assert b'{\n  "b": 1\n}\n' == jsonify(b=1).data


class Colour(enum.Enum):
    RED = "red"


def test_every_mode_returns_the_same_bytes() -> None:
    content = {"b": 2**70, "a": [uuid.UUID(int=1), dt.date(2026, 11, 22)]}
    for default in (None, lambda value: f"<{value}>"):
        seen = set()
        for debug in (False, True):
            app = with_orjson()
            app.debug = debug
            if default is not None:
                app.json.default = default  # type: ignore[attr-defined] # of the default provider
                content["c"] = Colour.RED
            with app.app_context():
                seen.add(jsonify(content).data)
                seen.add(jsonify({**content, "b": 1}).data.replace(b'"b":1', b'"b":%d' % 2**70))
        assert len(seen) == 1, seen
        if default is not None:
            assert b'"c":"<Colour.RED>"' in seen.pop()


def test_a_default_of_the_application_is_asked_once() -> None:
    app = with_orjson()
    asked: list[object] = []

    def refuse(value: object) -> str:
        asked.append(value)
        raise TypeError("not JSON serializable")

    app.json.default = refuse  # type: ignore[attr-defined] # of the default provider
    with app.app_context(), pytest.raises(TypeError, match="not JSON serializable"):
        jsonify(object())
    assert len(asked) == 1


def test_what_nobody_can_render_is_an_error() -> None:
    with with_orjson().app_context(), pytest.raises(TypeError, match="not JSON serializable"):
        jsonify(object())

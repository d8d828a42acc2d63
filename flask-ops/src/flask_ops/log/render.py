"""The rendering of any value as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, time
from typing import Any
from uuid import UUID

import orjson

# A dataclass appears as its repr, which can hide secrets. orjson would show all its fields.
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
_MAX_BITS = 14_000
"""Python raises ValueError for an integer of more than 4300 decimal digits."""
CONTROLS = "\x80-\x9f\u2028-\u202e\u2066-\u2069"
"""Characters that JSON allows in a text, but that end a line, command a terminal or change the order of its text: C1
controls, the line and paragraph separators, and the bidirectional controls."""
_CONTROL = re.compile(rb"\xc2[\x80-\x9f]|\xe2(?:\x80[\xa8-\xae]|\x81[\xa6-\xa9])")
"""The same in UTF-8."""


def render_json(value: Any) -> bytes:
    """Render one line of JSON without a newline. Values that JSON cannot represent become their ``repr``."""
    rendered = _rendered(value)
    # This test costs a tenth of the search.
    return _CONTROL.sub(_escape, rendered) if b"\xc2" in rendered or b"\xe2" in rendered else rendered


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def _rendered(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=repr, option=_OPTIONS)
    except TypeError:
        # orjson refuses lone surrogates, which a client can send, integers over 64 bits, and keys that are not text.
        # None of them may cost a line.
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any, depth: int = 0) -> Any:
    """Copy ``value``, made of types that every JSON encoder takes. Levels below the 16th become text."""
    try:
        return _readable(value, depth)
    except Exception as error:  # noqa: BLE001 - a foreign class may raise anything, and must not cost the line
        return f"<{type(value).__name__}: repr raised {type(error).__name__}>"


def _readable(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < _MAX_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if value - value == 0 else None  # as orjson does: JSON has no NaN and no infinity
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if depth < 16:
        if isinstance(value, Mapping):
            return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (date, time, UUID)):
        with suppress(TypeError):  # a time of day with a time zone
            return orjson.loads(orjson.dumps(value, option=_OPTIONS))
    return _plain(repr(value))


def _key(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)

"""Turn the fields of a log line into JSON, whatever they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

# A dataclass goes through its repr, which hides what is secret; orjson would show all its fields.
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
_MAX_BITS = 14_000
"""Python writes no integer of more than 4300 digits in decimal."""


def render_json(value: Any) -> bytes:
    """Render one line of JSON without its newline; what JSON has no form for becomes its ``repr``."""
    try:
        return orjson.dumps(value, default=repr, option=_OPTIONS)
    except TypeError:
        return _render_others(value)


def _render_others(value: Any) -> bytes:
    try:
        # Not at once, because with this option everything takes three times as long.
        return orjson.dumps(value, default=repr, option=_OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # orjson refuses what a client can send (lone surrogates) and what an
        # application can count (integers over 64 bits). A line must not be lost for it.
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any, depth: int = 0) -> Any:
    """Copy ``value`` out of types that every JSON encoder takes; deeper than 16 levels as text."""
    try:
        return _readable(value, depth)
    except Exception as error:  # noqa: BLE001 - whatever a foreign class raises, the line is written
        return f"<{type(value).__name__}: repr raised {type(error).__name__}>"


def _readable(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < _MAX_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if value - value == 0 else repr(value)  # JSON has no NaN and no infinity
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if depth < 16:
        if isinstance(value, Mapping):
            return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in value]
    return _plain(repr(value))


def _key(key: Any) -> str:
    return str(_plain(key if isinstance(key, str) else str(_plain(key))))

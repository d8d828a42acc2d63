"""The length limit of a line. On a pipe, parts of longer lines would mix with the lines of other processes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from flask_ops.log.render import render_json

_END_MATTERS = frozenset({"frames", "filename", "traceback", "error.stack_trace"})
"""Fields that are cut at their beginning. Of a traceback, the end names the exception and its place."""
_NAME_CHARACTERS = 80
_ROOM_FOR_MARKS = 256
_SMALLEST = 16
_FLAT = 50
"""Below this size, a container becomes text, so that a line of any structure fits in the end."""


def render_line(fields: Mapping[Any, Any], limit: int) -> bytes:
    """Return ``fields`` as a line of JSON of at most ``limit`` bytes (1024 or more), its newline included.

    ``shortened`` names the fields that are cut. ``fields_left_out`` counts the fields that are missing.
    """
    line = render_json(fields)
    size = limit - _ROOM_FOR_MARKS
    while len(line) >= limit and size > _SMALLEST:
        kept = {_name(name): (value, _cut(name, value, size)) for name, value in _first(fields, max(size // 8, 5))}
        marks: dict[str, Any] = {"shortened": [name for name, (value, short) in kept.items() if _differ(value, short)]}
        if len(kept) < len(fields):
            marks["fields_left_out"] = len(fields) - len(kept)
        line = render_json({name: short for name, (_, short) in kept.items()} | marks)
        size = size * 2 // 3
    return line + b"\n"


def _cut(name: object, value: Any, size: int) -> Any:
    """Return ``value`` with texts of at most ``size`` characters and lists of at most a fiftieth as many items."""
    if isinstance(value, str):
        if len(value) <= size:
            return value
        return f"...{value[-size:]}" if name in _END_MATTERS else f"{value[:size]}..."
    text = render_json(value).decode()
    if len(text) <= size:
        return value
    if isinstance(value, dict) and size >= _FLAT:
        return {_name(key): _cut(key, item, size) for key, item in _first(value, max(size // 8, 8))}
    if isinstance(value, (list, tuple)) and size >= _FLAT:
        count = size // _FLAT
        kept = value[-count:] if name in _END_MATTERS else value[:count]
        return [_cut("", item, size) for item in kept]
    return _cut("", text, size)


def _first(fields: Mapping[Any, Any], count: int) -> list[tuple[Any, Any]]:
    return list(islice(fields.items(), count))


def _name(key: object) -> str:
    return str(_cut("", key if isinstance(key, str) else render_json(key).decode(), _NAME_CHARACTERS))


def _differ(value: object, short: object) -> bool:
    return value is not short and render_json(value) != render_json(short)

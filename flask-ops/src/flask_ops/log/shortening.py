"""The length limit of a line. Its largest fields are cut, and a field names them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from flask_ops.log.render import render_json

_FLOOR = 32
"""Bytes that each value gets at least. If not all fields fit, the last ones are left out."""
_MARKS = 300
"""Bytes reserved for ``shortened`` and ``fields_left_out``."""
_NAMES = 5
_NAME_CHARACTERS = 40
_END_MATTERS = frozenset({"error.stack_trace", "exception.stacktrace"})
"""Tracebacks as text, with the exception and its place at the end."""
_STEPS = ((20, 1000, 8), (10, 500, 6), (6, 300, 4), (4, 200, 3), (2, 120, 2), (1, 60, 1))
"""Numbers of frames, characters per text and exceptions per chain to keep. The first step that fits is used."""


def render_line(fields: Mapping[str, Any], limit: int) -> bytes:
    """Return ``fields`` as a line of JSON of at most ``limit`` bytes (1024 or more), its newline included.

    ``shortened`` names the cut fields. ``fields_left_out`` counts the fields that were removed.
    """
    line = render_json(fields)
    if len(line) < limit:
        return line + b"\n"
    for share in (1.0, 0.8, 0.5):
        line = _shortened(fields, int((limit - _MARKS) * share))
        if len(line) < limit:
            return line + b"\n"
    few = {_cut_text(name, _NAME_CHARACTERS): _cut(name, fields[name], 60, []) for name in list(fields)[:8]}
    return render_json({**few, "shortened": ["..."]}) + b"\n"


def _shortened(fields: Mapping[str, Any], budget: int) -> bytes:
    cut: list[str] = []
    short = _fit(fields, budget, cut)
    names = [_cut_text(name, _NAME_CHARACTERS) for name in cut[:_NAMES]] + ["..."] * (len(cut) > _NAMES)
    marks: dict[str, Any] = {"shortened": names}
    if len(short) < len(fields):
        marks["fields_left_out"] = len(fields) - len(short)
    return render_json({**short, **marks})


def _fit(fields: Mapping[Any, Any], budget: int, cut: list[str]) -> dict[str, Any]:
    """Cut the largest values so that all fields fit into ``budget`` bytes. Add their names to ``cut``."""
    kept: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    room = budget
    for key, value in fields.items():
        name = _cut_text(key if isinstance(key, str) else render_json(key).decode(), 2 * _NAME_CHARACTERS)
        size = len(render_json(value))
        needed = len(render_json(name)) + 2 + min(size, _FLOOR)
        if room < needed:
            break
        room -= needed
        kept[name], sizes[name] = value, size
    most = _share(list(sizes.values()), room + sum(min(size, _FLOOR) for size in sizes.values()))
    return {name: value if sizes[name] <= most else _cut(name, value, most, cut) for name, value in kept.items()}


def _share(sizes: list[int], room: int) -> int:
    """Return the maximum size of a value, so that all fit into ``room``."""
    waiting = len(sizes)
    for size in sorted(sizes):
        if size * waiting > room:
            return room // waiting
        room -= size
        waiting -= 1
    return max(sizes, default=0)


def _cut(name: str, value: Any, size: int, cut: list[str]) -> Any:
    """Return ``value``, cut to ``size`` bytes."""
    if isinstance(value, dict) and size > 4 * _FLOOR:
        return _fit(value, size - 2, cut)
    cut.append(name)
    if name == "exception" and isinstance(value, list):
        with contextlib.suppress(TypeError, KeyError, AttributeError):  # a caller's own, of another form
            return _cut_exception(value, size)
    text = value if isinstance(value, str) else render_json(value).decode()
    return _cut_text(text, size, keep_end=name in _END_MATTERS)


def _cut_text(text: str, size: int, *, keep_end: bool = False) -> str:
    """Return the beginning or the end of ``text``, at most ``size`` bytes as JSON."""
    rendered = len(render_json(text))
    if rendered <= size:
        return text
    count = len(text)
    while count and rendered > size:
        count = min(count - 1, count * max(size - 5, 0) // rendered)
        short = f"...{text[len(text) - count :]}" if keep_end else f"{text[:count]}..."
        rendered = len(render_json(short))
    return short if count else "..."


def _cut_exception(chain: list[Any], size: int) -> Any:
    """Return the exceptions with their last frames, which raised them."""
    for frames, characters, exceptions in _STEPS:
        short = _cut_chain(chain, frames, characters, exceptions)
        if len(render_json(short)) <= size:
            return short
    return _cut_text(f"{chain[0].get('exc_type')}: {chain[0].get('exc_value')}" if chain else "", size)


def _cut_chain(chain: list[Any], frames: int, characters: int, exceptions: int) -> list[Any]:
    if len(chain) > exceptions:  # keep the root cause, which is the last one
        chain = [*chain[: max(exceptions - 1, 1)], *chain[-1:]][:exceptions]
    return [_cut_stack(stack, frames, characters) for stack in chain]


def _cut_stack(stack: dict[str, Any], frames: int, characters: int) -> dict[str, Any]:
    short = {name: _cut_text(value, characters) if isinstance(value, str) else value for name, value in stack.items()}
    every = stack["frames"]
    short["frames"] = [
        {**frame, "filename": _cut_text(frame["filename"], characters, keep_end=True)} for frame in every[-frames:]
    ]
    if len(every) > frames:
        short["frames_left_out"] = len(every) - frames + stack.get("frames_left_out", 0)
    if "exceptions" in stack:
        few = max(frames // 3, 1)
        short["exceptions"] = [_cut_chain(chain, few, characters // 2, few) for chain in stack["exceptions"][:few]]
        left_out = len(stack["exceptions"]) - len(short["exceptions"])
        short["exceptions_left_out"] = left_out + stack.get("exceptions_left_out", 0)
    for name in ("exc_notes", "syntax_error"):
        if name in stack:
            short[name] = _cut_text(render_json(stack[name]).decode(), characters)
    return short

"""A copy of the values of a log call, without the values whose keys name a secret."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from werkzeug.datastructures import Headers

MASKED = "[masked]"
_MAX_DEPTH = 16
_MAX_ITEMS = 10_000
"""Items of one line, nested ones included. More would take too long, and help no reader."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_ALWAYS = (Mapping, Headers, list, tuple, deque)
"""Types that JSON can represent. Others appear as their repr, unless they hold a secret."""
_UNREAD = (str, bytes, bytearray, memoryview, range)
"""Sequences without nested values."""


class MaskedCopy:
    """Makes the copy of one line's values. ``hides`` tells whether the value of a key is a secret."""

    def __init__(self, hides: Callable[[object, object], bool]) -> None:
        self._hides = hides
        self._items_left = _MAX_ITEMS
        self.cuts = 0
        """Number of values missing from the copy: secrets, unreadable ones, and those over a limit."""

    def mapping(self, items: Iterable[tuple[Any, Any]], within: tuple[int, ...] = ()) -> dict[Any, Any]:
        """Return a copy of the items of a mapping. ``within`` has the ids of the objects around it."""
        copy = {}
        for key, value in items:
            if self._is_full():
                copy["..."] = "too many items"
                break
            copy[key] = self._cut(MASKED) if self._hides(key, value) else self.value(value, within)
        return copy

    def value(self, value: Any, within: tuple[int, ...] = (), *, of_sequence: bool = False) -> Any:
        """Return a copy of a container, made of dicts and lists. Return other values unchanged."""
        if type(value) in _SCALARS:
            return value
        try:
            return self._container(value, within, of_sequence=of_sequence)
        except Exception:  # noqa: BLE001 - a foreign class may raise anything
            return self._cut(f"<{type(value).__name__} cannot be read>")

    def _container(self, value: Any, within: tuple[int, ...], *, of_sequence: bool) -> Any:
        if isinstance(value, Enum):
            return self.value(value.value, within)
        pairs = _pairs(value)
        if pairs is None and not _is_sequence(value):
            return value
        if id(value) in within:
            return f"<{type(value).__name__} within itself>"
        if len(within) >= _MAX_DEPTH:
            return self._cut(f"<{type(value).__name__}, too deep>")
        within, before = (*within, id(value)), self.cuts
        if pairs is not None:
            copy: Any = self.mapping(pairs, within)
        elif len(value) == 2 and (isinstance(value, tuple) or of_sequence):
            first, second = value
            copy = self._pair(first, second, within)
        else:
            copy = self._sequence(value, within)
        if isinstance(value, _ALWAYS):
            return copy
        if self.cuts == before:
            return value
        if is_dataclass(value):  # show no field that its repr hides
            shown = repr(value)
            return {name: each for name, each in copy.items() if f"{name}=" in shown} or value
        return copy

    def _pair(self, first: Any, second: Any, within: tuple[int, ...]) -> list[Any]:
        if self._hides(first, second):  # such as a header in a list
            return [first, self._cut(MASKED)]
        return self._sequence([first, second], within)

    def _sequence(self, values: Iterable[Any], within: tuple[int, ...]) -> list[Any]:
        copy = []
        for value in values:
            if self._is_full():
                copy.append("... too many items")
                break
            copy.append(self.value(value, within, of_sequence=True))
        return copy

    def _is_full(self) -> bool:
        self._items_left -= 1
        if self._items_left >= 0:
            return False
        self.cuts += 1
        return True

    def _cut(self, said: str) -> str:
        self.cuts += 1
        return said


def _pairs(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return key and value of each item; None if ``value`` is not a mapping."""
    if isinstance(value, (Mapping, Headers)):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=False))
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value) if field.repr]
    return None


def _is_sequence(value: Any) -> bool:
    if isinstance(value, Set):  # sets mostly hold many numbers or names
        return any(isinstance(each, (tuple, frozenset)) for each in value)
    return isinstance(value, (Sequence, ValuesView)) and not isinstance(value, _UNREAD)

"""Keep secrets out of the log: what stands under a key that names one is masked, at any depth."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from werkzeug.datastructures import Headers

MASKED = "[masked]"
NAMES = (
    *("access_key", "api_key", "apikey", "auth", "authorization", "cookie", "credential", "csrf", "jwt", "otp"),
    *("passphrase", "passwd", "password", "private_key", "pwd", "secret", "session_id", "sessionid", "token"),
)
"""Words of a key, as in ``db_password``, ``accessToken`` or ``X-Api-Key``."""
_MAX_DEPTH = 16
_MAX_ITEMS = 10_000
"""Of one line, containers within containers included: more is not worth the time, and nobody reads it."""
_CACHED_LENGTH = 100
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Mask:
    """Copies fields of a line without their secrets. ``more`` are names in addition to ``NAMES``."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = "|".join(sorted(re.escape(_words(name)) for name in {*NAMES, *more}))
        self._secret = re.compile(f"(?:^|_)(?:{names})(?P<plural>s?)(?:_|$)")
        # A client may send any number of keys.
        self._found: Callable[[str], re.Match[str] | None] = lru_cache(4096)(self._find)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy, in which containers are dicts and lists, none holds itself, and none is too deep."""
        return _Copy(self).mapping(fields.items(), ())

    def query(self, query: str) -> str:
        """Return a query string with the values of secret parameters masked."""
        return "&".join(map(self._parameter, query.split("&")))

    def hides(self, key: object, value: object) -> bool:
        """Tell whether ``value`` is a secret where it stands under ``key``."""
        if value is None or not isinstance(key, str):
            return False
        found = self._found(key) if len(key) < _CACHED_LENGTH else self._find(key)
        # A number of tokens is no token.
        return found is not None and not (found["plural"] and isinstance(value, (int, float)))

    def _find(self, key: str) -> re.Match[str] | None:
        return self._secret.search(_words(key))

    def _parameter(self, parameter: str) -> str:
        name, separator, value = parameter.partition("=")
        return f"{name}={MASKED}" if separator and self.hides(unquote_plus(name), value) else parameter


class _Copy:
    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._items_left = _MAX_ITEMS

    def mapping(self, items: Iterable[tuple[Any, Any]], within: tuple[int, ...]) -> dict[Any, Any]:
        copy = {}
        for key, value in items:
            self._items_left -= 1
            if self._items_left < 0:
                copy["..."] = "too many items"
                break
            copy[key] = MASKED if self._mask.hides(key, value) else self._value(value, within)
        return copy

    def _value(self, value: Any, within: tuple[int, ...]) -> Any:
        if type(value) in _SCALARS:
            return value
        try:
            return self._container(value, within)
        except Exception:  # noqa: BLE001 - a foreign class, whatever it raises
            return f"<{type(value).__name__} cannot be read>"

    def _container(self, value: Any, within: tuple[int, ...]) -> Any:
        pairs = _pairs(value)
        if pairs is None and not isinstance(value, (list, tuple, deque)):
            return value
        if id(value) in within:
            return f"<{type(value).__name__} within itself>"
        if len(within) >= _MAX_DEPTH:
            return f"<{type(value).__name__}, too deep>"
        within = (*within, id(value))
        return self._sequence(value, within) if pairs is None else self.mapping(pairs, within)

    def _sequence(self, values: Iterable[Any], within: tuple[int, ...]) -> list[Any]:
        if isinstance(values, tuple) and len(values) == 2 and self._mask.hides(*values):
            return [values[0], MASKED]  # as in a list of headers
        copy = []
        for value in values:
            self._items_left -= 1
            if self._items_left < 0:
                copy.append("... too many items")
                break
            copy.append(self._value(value, within))
        return copy


def _pairs(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return key and value of each item, None for what is no mapping."""
    if isinstance(value, (Mapping, Headers)):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=False))
    return None


def _words(key: str) -> str:
    """Return the words of ``key`` in lower case, joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower())

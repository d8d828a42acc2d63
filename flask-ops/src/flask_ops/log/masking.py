"""The masking of secrets in the log: values whose keys name a secret, at any depth, and in query strings."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from werkzeug.datastructures import Headers

MASKED = "[masked]"
NAMES = ("auth", "authorization", "bearer", "csrf", "otp", "signature")
"""Words of a key, such as in ``basic_auth`` or ``X-Amz-Signature``."""
LAST_NAMES = ("pass",)
"""Last words of a key, also with a number: ``db_pass``. A ``pass_rate`` is no secret."""
ENDINGS = (
    *("access_key", "accesskey", "api_key", "apikey", "cookie", "credential", "jwt", "passcode", "passphrase"),
    *("passwd", "password", "private_key", "privatekey", "pwd", "secret", "secretkey", "sessid", "session_id"),
    *("sessionid", "samlresponse", "saml_response", "token"),
)
"""Ends of words of a key, also with a number: ``db_password``, ``PGPASSWORD``, ``accessToken``, ``password2``."""
QUERY_NAMES = ("code", "hmac", "key", "samlart", "sig", "ticket")
"""Whole names of parameters: of OAuth 2.0, CAS, SAML and signed URLs. Elsewhere, a ``code`` is rarely secret."""
_MARK = re.compile(r"[&;?#]|(?P<equals>[=:])|%(?:25)*(?:26|3b|3f|23|(?P<encoded>3d|3a))", re.IGNORECASE)
"""The characters around the names of a query string, of a URL in its values or of JSON in them, encoded or not."""
_ENCODED_TIMES = 3
_CACHED_LENGTH = 100
_MAX_DEPTH = 16
_MAX_ITEMS = 10_000
"""Items of one line, nested ones included. More would take too long, and help no reader."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_JSON = (Mapping, Headers, list, tuple, deque)
"""Types that JSON can represent. Others appear as their repr, unless they hold a secret."""
_UNREAD = (str, bytes, bytearray, memoryview, range)
"""Sequences without nested values."""
_T = TypeVar("_T")


class Mask:
    """Copies fields of a line without their secrets. ``more`` adds words to ``NAMES``."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = "|".join(sorted(re.escape(_words(name)) for name in {*NAMES, *more}))
        word = f"(?:{names})(?P<s>s?)|(?:{'|'.join(LAST_NAMES)})[0-9]*_?$"
        self._secret = re.compile(f"(?:(?:^|_)(?:{word})|(?:{'|'.join(ENDINGS)})(?P<plural>s?)[0-9]*)(?:_|$)")
        # The cache has a limit, because a client may send any number of keys.
        self._found: Callable[[str], re.Match[str] | None] = lru_cache(4096)(self._find)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy, made of dicts and lists, without cycles and of limited depth."""
        return _Copy(self.hides).mapping(fields.items(), ())

    def value(self, value: Any) -> Any:
        """Return ``value`` itself, or a copy without secrets if it holds any."""
        copied = _Copy(self.hides)
        copy = copied.value(value, ())
        return copy if copied.cuts else value

    def query(self, query: str) -> str:
        """Return a query string with the values of secret parameters masked.

        A secret ends at the next ``&``. Every other separator could be a part of it.
        """
        return "&".join(map(self._parameter, query.split("&")))

    def _parameter(self, parameter: str) -> str:
        begin = 0
        for mark in _MARK.finditer(parameter):
            if mark["equals"] or mark["encoded"]:
                name = parameter[begin : mark.start()]
                for _ in range(_ENCODED_TIMES):
                    name = unquote_plus(name)
                if self.hides(name, "") or _words(name.lower()).strip("_") in QUERY_NAMES:
                    return parameter[: mark.end()] + MASKED
            begin = mark.end()
        return parameter

    def hides(self, key: object, value: object) -> bool:
        """Tell whether ``key`` makes ``value`` a secret."""
        if isinstance(key, bytes):  # some libraries have headers as bytes
            key = key.decode("latin-1")
        if value is None or not isinstance(key, str):
            return False
        found = self._found(key) if len(key) < _CACHED_LENGTH else self._find(key)
        # A plural with a number is a count, such as of tokens.
        return found is not None and not ((found["s"] or found["plural"]) and isinstance(value, (int, float)))

    def _find(self, key: str) -> re.Match[str] | None:
        # People also write PassWord, which is one word.
        return self._secret.search(_words(key)) or self._secret.search(_words(key.lower()))


class _Copy:
    """The copy of one line's values. ``within`` has the ids of the objects around a value."""

    def __init__(self, hides: Callable[[object, object], bool]) -> None:
        self._hides = hides
        self._items_left = _MAX_ITEMS
        self.cuts = 0
        """Number of values missing from the copy: secrets, unreadable ones, and those over a limit."""

    def mapping(self, items: Iterable[tuple[Any, Any]], within: tuple[int, ...]) -> dict[Any, Any]:
        return {
            key: self._cut(MASKED) if self._hides(key, value) else self.value(value, within)
            for key, value in self._few(items)
        }

    def value(self, value: Any, within: tuple[int, ...], *, of_sequence: bool = False) -> Any:
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
        copy: Any
        if pairs is not None:
            copy = self.mapping(pairs, within)
        elif len(value) == 2 and (isinstance(value, tuple) or of_sequence) and self._hides(*value):
            copy = [next(iter(value)), self._cut(MASKED)]  # such as a header in a list
        else:
            copy = [self.value(each, within, of_sequence=True) for each in self._few(value)]
        if isinstance(value, _JSON):
            return copy
        if self.cuts == before:
            return value
        if is_dataclass(value):  # show no field that its repr hides
            shown = repr(value)
            return {name: each for name, each in copy.items() if f"{name}=" in shown} or value
        return copy

    def _few(self, values: Iterable[_T]) -> Iterator[_T]:
        """Yield the values, up to the limit of the line."""
        for value in values:
            if not self._items_left:
                self.cuts += 1
                return
            self._items_left -= 1
            yield value

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


def _words(key: str) -> str:
    """Return the words of ``key`` in lower case, joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower())

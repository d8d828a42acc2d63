"""The declaration of a setting: an environment variable, its type, and its default."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

UNSET: Any = object()

Parse = Callable[[str], Any]
"""Turns the text of a variable into its value. Raises ValueError with a description of valid values."""


class Derived(NamedTuple):
    """A default that is computed from the settings declared above it; ``text`` describes it."""

    compute: Callable[[Mapping[str, Any]], Any]
    text: str


class Variable(NamedTuple):
    """The declaration of one setting. ``default`` is UNSET if it is required."""

    name: str
    parse: Parse
    default: Any
    help: str
    fallback: tuple[str, Parse] | None = None
    secret: bool = False
    if_empty: Any = UNSET

    @property
    def sources(self) -> Iterator[tuple[str, Parse]]:
        """The variables that may have the value, each with its parser, the most important first."""
        yield self.name, self.parse
        if self.fallback is not None:
            yield self.fallback

    def default_after(self, known: Mapping[str, Any]) -> Any:
        """Return the default, None for a required setting. The settings declared above it are ``known``."""
        if isinstance(self.default, Derived):
            return self.default.compute(known)
        return None if self.default is UNSET else self.default

    def read(self, environ: Mapping[str, str], known: Mapping[str, Any]) -> Any:
        """Return the value. Raises ValueError with one sentence: the variable, its text, the expected form."""
        for name, parse in self.sources:
            value = environ.get(name, "").strip()
            if value:
                try:
                    return parse(value)
                except ValueError as expected:
                    shown = "(not shown)" if self.secret else repr(value)
                    raise ValueError(f"{name} is {shown}, expected {expected}") from None
        if self.if_empty is not UNSET and self.name in environ:
            return self.if_empty
        if self.default is UNSET:
            raise ValueError(f"{self.name} is not set, expected {self._expected}")
        return self.default_after(known)

    @property
    def _expected(self) -> str:
        try:
            self.parse("")
        except ValueError as expected:
            return str(expected)
        except Exception:  # noqa: BLE001, S110 - a user's parser, which never gets an empty value elsewhere
            pass
        return "a value"


def setting(
    name: str,
    parse: Parse,
    *,
    default: Any = UNSET,
    help: str,  # noqa: A002 - the field's name, as in argparse
    fallback: tuple[str, Parse] | None = None,
    secret: bool = False,
    if_empty: Any = UNSET,
) -> Any:
    """Declare a field of a ``Settings`` class that is read from the environment variable ``name``.

    ``parse`` turns the text into the value, or raises ValueError with a description of valid values. A setting without
    ``default`` is required: the start fails if it is not set. ``help`` is one sentence for ``--help``. ``fallback`` is
    another variable and its parser, read if ``name`` is not set. The value of a ``secret`` is never shown. An empty
    variable counts as not set, unless ``if_empty`` gives its value.
    """
    declaration = Variable(name, parse, default, help, fallback, secret, if_empty)
    return field(repr=not secret, metadata={"variable": declaration})


def text(pattern: str, expected: str) -> Parse:
    """Return a parser for text that fully matches ``pattern``; ``expected`` describes it in the error."""
    compiled = re.compile(pattern)

    def parse(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(expected)
        return value

    return parse


def integer(low: int, high: int) -> Parse:
    """Return a parser for a whole number from ``low`` to ``high``."""

    def parse(value: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,18}", value) is None or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def seconds(low: float, high: float) -> Parse:
    """Return a parser for a number of seconds from ``low`` to ``high``."""

    def parse(value: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) is None or not low <= float(value) <= high:
            raise ValueError(f"seconds, from {low:g} to {high:g}")
        return float(value)

    return parse


def names(value: str) -> tuple[str, ...]:
    """Parse words separated by commas or spaces."""
    found = tuple(re.split(r"[ ,]+", value.strip(" ,")))
    if not all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) for name in found):
        raise ValueError("names of letters, digits, '.', '_' and '-', with commas between them")
    return found


def hosts(value: str) -> tuple[str, ...]:
    """Parse host names without ports, separated by commas or spaces. ``*.`` stands for all names below a domain."""
    found = tuple(re.split(r"[ ,]+", value.strip(" ,").lower()))
    if not all(re.fullmatch(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name) for name in found):
        raise ValueError("host names without a port, such as service or *.example.internal, with commas between them")
    return found


def in_file(parse: Parse) -> Parse:
    """Return a parser for the path of a file that holds a value for ``parse``."""

    def read(path: str) -> Any:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ValueError(f"the path of a readable file ({getattr(error, 'strerror', None) or error})") from None
        try:
            return parse(value)
        except ValueError as expected:
            raise ValueError(f"a file that holds {expected}") from None

    return read


def shares(value: str) -> Mapping[str, float]:
    """Parse pairs ``route=share`` separated by spaces; a share is a number from 0 to 1."""
    found = {}
    for pair in value.split():
        route, _, share = pair.rpartition("=")
        # ",/" means that a comma separates the pairs, which is an error.
        if not re.fullmatch(r"(?!.*,/)/.*|\*|unmatched", route) or not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", share):
            raise ValueError("pairs like /route=0.1 or *=0.5 with spaces between them, shares from 0 to 1")
        found[route] = float(share)
    return found


def boolean(value: str) -> bool:
    """Parse true or false, yes or no, on or off, 1 or 0."""
    if value.lower() not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ValueError("true or false")
    return value.lower() in {"true", "1", "yes", "on"}


def choice(options: type[StrEnum]) -> Parse:
    """Return a parser for one value of an enumeration, in upper or lower case."""

    def parse(value: str) -> StrEnum:
        try:
            return options(value.lower())
        except ValueError:
            raise ValueError("one of " + ", ".join(options)) from None

    return parse

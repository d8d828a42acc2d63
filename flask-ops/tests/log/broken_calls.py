"""Log calls that a program should not make, and that still write their line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from werkzeug.local import LocalProxy


class Silent:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Leaving:
    """An object whose repr raises SystemExit."""

    def __repr__(self) -> str:
        raise SystemExit("no repr")


class Classless:
    """An object whose class cannot be read."""

    @property  # type: ignore[misc] # wrong on purpose
    def __class__(self) -> type:
        raise RuntimeError("no class")


class Undecided:
    """An object whose truth value raises."""

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


class Number(int):
    """An integer whose methods raise."""

    def bit_length(self) -> int:
        raise RuntimeError("no bits")


class Fraction(float):
    """A float whose methods raise."""

    def __sub__(self, other: float) -> float:
        raise RuntimeError("no difference")


class Bottomless(Mapping[str, str]):
    """A mapping that raises SystemExit when it is read."""

    def __getitem__(self, key: str) -> str:
        raise SystemExit(key)

    def __iter__(self) -> Any:
        return iter(["key"])

    def __len__(self) -> int:
        return 1


def _load() -> object:
    raise ConnectionError("no database")


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


lazy = LocalProxy(_load)
own = structlog.stdlib.get_logger("own")
foreign = logging.getLogger("foreign")
BIG = 2**70


def _named(name: Any) -> None:
    logging.addLevelName(27, name)
    foreign.log(27, "x")


CALLS: dict[str, Callable[[], object]] = {
    "own, lazy value that fails": lambda: own.warning("x", user=lazy),
    "own, no repr": lambda: own.warning("x", value=Silent()),
    "own, event without repr": lambda: own.warning(Silent()),  # type: ignore[arg-type] # wrong on purpose
    "own, repr that exits": lambda: own.warning("x", value=[Leaving()]),
    "own, no class": lambda: own.warning("x", value={"a": Classless()}),
    "own, a key without class": lambda: own.warning("x", value={Classless(): 1}),
    "own, mapping that exits": lambda: own.warning("x", value=Bottomless()),
    "own, broken integer": lambda: own.warning("x", value=[Number(5), BIG]),
    "own, broken float": lambda: own.warning("x", value=[Fraction(5), BIG]),
    "own, wrong arguments": lambda: own.warning("%d", "x"),
    "own, arguments for no place": lambda: own.warning("100% sure", 5),
    "own, argument that fails": lambda: own.warning("%s", lazy),
    "own, a level between": lambda: own.log(35, "x"),
    "own, a level below all": lambda: own.log(3, "x"),
    "own, structlog's names": lambda: own.warning("x", _record=5, _from_structlog=3, _logger=1, _name=2),
    "own, positional_args": lambda: own.warning("x", positional_args=("a",)),
    "own, positional_args that are none": lambda: own.warning("x", positional_args=5),
    "own, exc_info without truth": lambda: own.warning("x", exc_info=Undecided()),
    "own, exc_info of no exception": lambda: own.warning("x", exc_info=("a", "b", "c")),
    "own, no event": lambda: own.warning(None),
    "own, stack and exception": lambda: own.warning("x", stack=[1], exception={"a": 1}),
    "own, our names": lambda: own.warning("x", level=Silent(), logger=Silent(), timestamp=1, service=2),
    "foreign, no repr": lambda: foreign.warning(Silent()),
    "foreign, a number too long for Python": lambda: foreign.warning(10**5000),
    "foreign, too deep": lambda: foreign.warning(_deep()),
    "foreign, wrong arguments": lambda: foreign.warning("%d", "x"),
    "foreign, argument without repr": lambda: foreign.warning("%s", Silent()),
    "foreign, argument that exits": lambda: foreign.warning("%s", Leaving()),
    "foreign, lazy argument that fails": lambda: foreign.warning("%s", lazy),
    "foreign, too few arguments": lambda: foreign.warning("%s %s", "a"),
    "foreign, extra that fails": lambda: foreign.warning("x", extra={"user": lazy}),
    "foreign, extra without class": lambda: foreign.warning("x", extra={"a": Classless()}),
    "foreign, structlog's names": lambda: foreign.warning("x", extra={"_logger": 1, "_name": 2}),
    "foreign, a dict with structlog's names": lambda: foreign.warning({"a": 1}, extra={"_logger": 1, "_name": 2}),
    "foreign, our names": lambda: foreign.warning("x", extra={"_record": 1, "_from_structlog": 2, "level": Silent()}),
    "foreign, stack and exception": lambda: foreign.warning("x", extra={"stack": [1], "exception": [1]}),
    "foreign, keys that are no names": lambda: foreign.warning("x", extra={5: 6, None: 1}),  # type: ignore[dict-item] # wrong on purpose
    "foreign, exc_info too short": lambda: foreign.warning("x", exc_info=("a",)),  # type: ignore[arg-type] # as above
    "foreign, exc_info of no exception": lambda: foreign.warning("x", exc_info=("a", "b", "c")),  # type: ignore[arg-type] # as above
    "foreign, exc_info without exception": lambda: foreign.warning("x", exc_info=True),
    "foreign, a level between": lambda: foreign.log(35, "x"),
    "foreign, a level of another name": lambda: _named("NO\nTICE"),
    "foreign, a level without a name": lambda: _named(7),
    "foreign, a record without a level's name": lambda: foreign.handle(
        logging.makeLogRecord({"msg": "x", "levelno": 30, "levelname": None})
    ),
}
"""Each call, by its description."""

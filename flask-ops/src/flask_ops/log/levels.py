"""Log levels that change at runtime, in all processes of the service, for a time or until it stops.

A file in the metrics store holds the overrides. Workers read it twice a second, the master once a second, and new
processes find it. A process without a store keeps its overrides to itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flask_ops.core import forks, multiprocess
from flask_ops.core.settings import LogLevel

ROOT = "root"
"""The name of the root logger."""
MAX_OVERRIDES = 100
"""Maximum number of overridden loggers. Each process checks each of them twice a second."""
_FILE = "log-levels.json"


class TooManyOverridesError(ValueError):
    """The override would exceed ``MAX_OVERRIDES``."""


class Override(NamedTuple):
    """A temporary level of a logger. ``until`` is Unix time; None lasts as long as the server runs."""

    level: LogLevel
    until: float | None


class _State:
    """The overrides that this process applies."""

    def __init__(self) -> None:
        self.overrides: dict[str, Override] = {}
        self.own: dict[str, int] = {}
        """The level that each overridden logger returns to."""
        self.renew_lock()

    def renew_lock(self) -> None:
        """Make a new lock, also in a forked child: another thread of the parent may hold the old one."""
        # Reentrant: a signal handler or a finalizer may log while its thread holds the lock.
        self.lock = threading.RLock()


_state = _State()
forks.in_child(_state.renew_lock)


def configure(logger: logging.Logger, level: int) -> None:
    """Set the level of ``logger`` from the settings. An override takes precedence."""
    with _state.lock:
        if logger.name in _state.overrides:
            _state.own[logger.name] = level
        else:
            logger.setLevel(level)


def configured(logger: logging.Logger) -> int:
    """Return the level that ``logger`` has without an override."""
    return _state.own.get(logger.name, logger.level)


def override(name: str, level: LogLevel | None, seconds: float | None = None) -> None:
    """Set the logger ``name`` to ``level`` for ``seconds``. The level None removes an override.

    Raises OSError if the other processes cannot be told, and TooManyOverridesError above ``MAX_OVERRIDES``.
    """
    with _state.lock:
        wanted = _current()
        wanted.pop(name, None)
        if level is not None:
            wanted[name] = Override(level, None if seconds is None else time.time() + seconds)
        if len(wanted) > MAX_OVERRIDES:
            raise TooManyOverridesError
        if multiprocess.is_shared():
            content = json.dumps({name: each._asdict() for name, each in wanted.items()})
            multiprocess.publish(multiprocess.directory() / _FILE, content.encode())
        _apply(wanted)


def refresh() -> None:
    """Apply the overrides of other processes, and remove expired ones."""
    with _state.lock:
        _apply(_current())


def overrides() -> Mapping[str, Override]:
    """Return the current overrides, by name of the logger."""
    refresh()
    return _state.overrides


def _current() -> dict[str, Override]:
    """Return the overrides of all processes, without expired ones."""
    known: Mapping[str, Override] = _state.overrides
    if multiprocess.is_shared():
        with contextlib.suppress(OSError):  # no descriptor left, for example: keep those of before
            known = _read(multiprocess.directory() / _FILE)
    now = time.time()
    return {name: each for name, each in known.items() if each.until is None or each.until > now}


def _apply(wanted: dict[str, Override]) -> None:
    for name in [name for name in _state.own if name not in wanted]:
        logging.getLogger(name).setLevel(_state.own.pop(name))
    _state.overrides = wanted
    for name, each in wanted.items():
        if name != ROOT and name not in logging.root.manager.loggerDict:
            continue  # clients may invent names, and `logging` never removes a logger; the next refresh looks again
        logger = logging.getLogger(name)
        _state.own.setdefault(name, logger.level)
        level = logging.getLevelNamesMapping()[each.level.upper()]
        if logger.level != level:  # it is new, or another logging configuration has changed it
            logger.setLevel(level)


def _read(path: Path) -> dict[str, Override]:
    try:
        found = json.loads(path.read_text())
        return {name: Override(LogLevel(each["level"]), each["until"]) for name, each in found.items()}
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):  # none yet, or damaged from outside
        return {}

"""Log levels that are changed while the service runs, in all its processes, until a time or for good.

What was asked for stands in a file in the metrics store; each process looks at it twice a second, the
master each second, and new ones find it. A process without a store keeps it to itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from flask_ops.core import multiprocess
from flask_ops.core.settings import LogLevel

ROOT = "root"
"""The name of the logger above all others."""
MAX_OVERRIDES = 100
"""How many loggers can be overridden at one time: each is looked at twice a second, in each process."""
_FILE = "log-levels.json"


class TooManyOverridesError(ValueError):
    """One more logger was to be overridden than can be."""


@dataclass(frozen=True, slots=True)
class Override:
    """The level that a logger has for now; ``until`` is Unix time, None for as long as the server runs."""

    level: LogLevel
    until: float | None


# A thread that holds it may be interrupted by a signal handler, or by what the garbage collector runs.
_lock = threading.RLock()
_overrides: dict[str, Override] = {}
_own: dict[str, int] = {}
"""The level that each overridden logger falls back to."""
_seen: tuple[int, int] | None = None


def configure(logger: logging.Logger, level: int) -> None:
    """Give ``logger`` its level of the settings, which an override goes before."""
    with _lock:
        if logger.name in _overrides:
            _own[logger.name] = level
        else:
            logger.setLevel(level)


def configured(logger: logging.Logger) -> int:
    """Return the level of the settings, of which an override knows nothing."""
    return _own.get(logger.name, logger.level)


def override(name: str, level: LogLevel | None, seconds: float | None = None) -> None:
    """Have the logger called ``name`` log from ``level`` on, for so many seconds; None takes an override back.

    Raises OSError where the other processes cannot be told, TooManyOverridesError beyond ``MAX_OVERRIDES``.
    """
    with _lock:
        wanted = dict(_current())
        wanted.pop(name, None)
        if level is not None:
            wanted[name] = Override(level, None if seconds is None else time.time() + seconds)
        if len(wanted) > MAX_OVERRIDES:
            raise TooManyOverridesError
        if multiprocess.is_shared():
            _publish(wanted)
        _apply(wanted)


def refresh() -> None:
    """Take over what another process was asked for, and end what has lasted long enough."""
    global _seen
    with _lock:
        wanted: Mapping[str, Override] = _overrides
        if multiprocess.is_shared():
            path = multiprocess.directory() / _FILE
            try:
                status = path.stat()
            except FileNotFoundError:  # nobody has asked for anything
                return
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != _seen:
                wanted, _seen = _read(path), seen
        if wanted:
            _apply(_current(wanted))
        elif _overrides:
            _apply({})


def overrides() -> Mapping[str, Override]:
    """Return what is overridden at the moment, by the name of the logger."""
    refresh()
    return dict(_overrides)


def _current(wanted: Mapping[str, Override] | None = None) -> dict[str, Override]:
    now = time.time()
    known = _overrides if wanted is None else wanted
    return {name: each for name, each in known.items() if each.until is None or each.until > now}


def _apply(wanted: Mapping[str, Override]) -> None:
    for name in [name for name in _overrides if name not in wanted]:
        del _overrides[name]
        logging.getLogger(name).setLevel(_own.pop(name))
    for name, each in wanted.items():
        logger = logging.getLogger(name)
        if name not in _overrides:
            _own[name] = logger.level
        if _overrides.get(name) != each:
            _overrides[name] = each
            logger.setLevel(each.level.upper())


def _publish(wanted: Mapping[str, Override]) -> None:
    path = multiprocess.directory() / _FILE
    new = path.with_suffix(f".{os.getpid()}")
    try:
        new.write_text(json.dumps({name: asdict(each) for name, each in wanted.items()}))
        new.replace(path)  # at once, for whoever reads it
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def _read(path: Path) -> dict[str, Override]:
    try:
        found = json.loads(path.read_text())
        return {name: Override(LogLevel(each["level"]), each["until"]) for name, each in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # damaged by somebody else
        return {}


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may hold it
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

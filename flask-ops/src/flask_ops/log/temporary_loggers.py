"""Loggers that exist only while their level is overridden. ``logging`` itself never removes a logger.

Without this module, clients of ``PUT /loglevel`` could fill the memory of all processes with invented names. For each
name, ``logging`` keeps a logger, and a placeholder for each dot.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Collection, Iterator

_lock = logging._lock  # type: ignore[attr-defined] # for all of logging; the stub leaves it out
_temporary: set[str] = set()
"""Names of loggers that ``obtain`` created. A fork copies them, with the loggers."""


def obtain(name: str) -> logging.Logger:
    """Return the logger called ``name``. If the program has not created it, create it for a time."""
    with _lock:
        if name != "root" and not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger):
            _temporary.add(name)
        return logging.getLogger(name)


def remove(keep: Collection[str]) -> None:
    """Remove the temporary loggers that are not in ``keep``, except those that the program uses by now."""
    for name in [name for name in _temporary if name not in keep]:
        with _lock:  # no other thread may get the logger meanwhile
            _remove(name)


def _remove(name: str) -> None:
    """Remove a logger to which no other reference exists. If one exists, put it back, and try again later."""
    loggers = logging.root.manager.loggerDict
    logger = loggers.get(name)
    if not isinstance(logger, logging.Logger) or _is_configured(logger):
        _temporary.discard(name)
        return
    places = [(above, place) for above, place in _placeholders(name) if logger in place.loggerMap]
    for _, place in places:
        del place.loggerMap[logger]
    del loggers[name]
    reference = weakref.ref(logger)
    del logger
    used = reference()
    if used is not None:
        loggers[name] = used
        for _, place in places:
            place.loggerMap[used] = None
        return
    _temporary.discard(name)
    for above, place in places:
        if not place.loggerMap:
            del loggers[above]


def _is_configured(logger: logging.Logger) -> bool:
    return bool(logger.level or logger.handlers or logger.filters or logger.disabled or not logger.propagate)


def _placeholders(name: str) -> Iterator[tuple[str, logging.PlaceHolder]]:
    """Yield the placeholders above a logger, with their names. They refer to loggers below them."""
    while "." in name:
        name = name.rpartition(".")[0]
        found = logging.root.manager.loggerDict.get(name)
        if isinstance(found, logging.PlaceHolder):
            yield name, found

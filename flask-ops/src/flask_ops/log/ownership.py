"""The library's place in the logging of the process: its handler at the root, and no second line for a record.

``dictConfig``, ``fileConfig`` and ``basicConfig(force=True)`` replace the handlers and the level of the root logger,
and can disable every logger. Applications call them, and so does Alembic in each migration. They close all handlers
first. So this module notices them, and corrects the result before the next record or request.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog
from werkzeug.local import LocalProxy

from flask_ops.log import levels

_OURS = ("flask_ops", "service.request")
"""The beginnings of the names of loggers that nothing may disable."""
_SERVERS_LOGGERS = "gunicorn"
"""The prefix of loggers whose handlers stay. If Gunicorn runs without our configuration, its lines are its own."""
_HINT = "no handler for standard output or error, disable_existing_loggers: False, the level in SERVICE_LOG_LEVEL"
_log = structlog.stdlib.get_logger(__name__)


class _Ownership:
    """What this process needs to return to its own configuration. ``process_state`` restores it after a test."""

    def __init__(self) -> None:
        self.make_handler: Callable[[], logging.Handler] | None = None
        self.handler: logging.Handler | None = None
        self.enabled: list[logging.Logger] | None = None
        """The loggers that were enabled before another configuration. None if there was none."""
        self.level = logging.NOTSET
        """The level of the root logger before it."""
        self.has_warned = False
        self.replaced: dict[logging.Logger, list[logging.Handler]] = {}
        """The handlers of loggers that had some for the terminal. A test puts them back."""


OWNERSHIP = _Ownership()


def take(make_handler: Callable[[], logging.Handler], level: int) -> None:
    """Give the root logger a handler from ``make_handler`` and a level, and remove other handlers of the terminal.

    The handler must call ``note_other_configuration`` when it is closed.
    """
    levels.configure(logging.getLogger(), level)
    OWNERSHIP.make_handler, OWNERSHIP.level = make_handler, level
    OWNERSHIP.enabled = OWNERSHIP.enabled or []
    keep()


def note_other_configuration() -> None:
    """Note that all handlers are being closed: another configuration begins, or the process ends."""
    OWNERSHIP.level = levels.configured(logging.getLogger())
    OWNERSHIP.enabled = [logger for logger in _loggers() if not logger.disabled]


def keep() -> None:
    """Correct the logging of the process if another configuration changed it. Warn the first time."""
    ours, root = OWNERSHIP, logging.getLogger()
    if ours.make_handler is None:
        return
    with logging._lock:  # type: ignore[attr-defined] # dictConfig() and fileConfig() hold it until they have finished
        enabled, ours.enabled = ours.enabled, None
        wanted = set(enabled or ())
        silenced = [each for each in _loggers() if each.disabled and (each in wanted or each.name.startswith(_OURS))]
        for logger in silenced:
            logger.disabled = False
        is_missing = ours.handler not in root.handlers
        if enabled is not None or is_missing:  # after close(), a handler is not told of the next configuration
            if ours.handler is not None:
                root.removeHandler(ours.handler)
            ours.handler = ours.make_handler()
            root.addHandler(ours.handler)
        doubled = sum(map(_prints, root.handlers))
        printing = [logger for logger in _loggers() if any(map(_prints, logger.handlers))]
        for logger in sorted(printing, key=lambda each: "" if each is root else each.name):  # parents first
            if logger.name.partition(".")[0] != _SERVERS_LOGGERS:
                _replace_printing(logger, ours.make_handler)
    has_other_level = enabled is not None and levels.configured(root) != ours.level
    if has_other_level:
        levels.configure(root, ours.level)
    if (silenced or doubled or has_other_level) and not ours.has_warned:
        ours.has_warned = True
        _log.warning(
            "another logging configuration was corrected",
            handlers_removed=doubled,
            loggers_enabled=len(silenced),
            level_restored=logging.getLevelName(ours.level).lower() if has_other_level else None,
            hint=_HINT,
        )


def _replace_printing(logger: logging.Logger, make_handler: Callable[[], logging.Handler]) -> None:
    """Remove the handlers that write to the terminal. Replace them if no handler of ours gets the records otherwise."""
    OWNERSHIP.replaced.setdefault(logger, [*logger.handlers])
    reaches_ours = _reaches_ours(logger)
    for handler in filter(_prints, list(logger.handlers)):
        logger.removeHandler(handler)
        if not reaches_ours:
            ours = make_handler()
            ours.setLevel(handler.level)
            ours.filters += handler.filters
            logger.addHandler(ours)


def _prints(handler: logging.Handler) -> bool:
    """Tell whether the handler writes to standard output or standard error."""
    stream = getattr(handler, "stream", None)
    if not isinstance(handler, logging.StreamHandler) or stream is None:
        return False
    if type(stream) is LocalProxy:  # flask.logging.wsgi_errors_stream
        return True
    if any(stream is each for each in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return True
    try:
        return stream.fileno() in {1, 2}
    except (AttributeError, OSError, ValueError):  # no file, or closed
        return False


def _reaches_ours(logger: logging.Logger | None) -> bool:
    while logger is not None:
        if any(isinstance(handler, type(OWNERSHIP.handler)) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _loggers() -> list[logging.Logger]:
    named = list(logging.Logger.manager.loggerDict.values())
    return [logging.getLogger(), *(each for each in named if isinstance(each, logging.Logger))]

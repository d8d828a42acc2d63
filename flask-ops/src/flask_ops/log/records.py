"""The fields of a record of the standard library's ``logging``, from any source."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from flask_ops.log.line import Fields
from flask_ops.log.masking import Mask

LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
"""The levels of a line, by the lowest number of each."""
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}
"""Attributes of every record, including those that an earlier formatter adds."""


class Record(logging.LogRecord):
    """A record that accepts any arguments. The standard library's raises if an argument's methods raise."""

    def __init__(
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        *more: Any,
        **named: Any,
    ) -> None:
        try:
            super().__init__(name, level, pathname, lineno, msg, args, exc_info, *more, **named)
        except Exception as error:  # noqa: BLE001 - a foreign class's exception must not reach the log call
            said = not_formatted(msg, error)
            super().__init__(name, level, pathname, lineno, said, None, exc_info, *more, **named)


def level_name(number: int) -> str:
    """Return the level for ``number``. Between two levels, return the lower one; below all, debug."""
    return LEVELS.get(number) or LEVELS[max((each for each in LEVELS if each < number), default=min(LEVELS))]


def not_formatted(said: object, error: BaseException) -> str:
    """Return an event in place of ``said``, which could not be formatted. Raises nothing."""
    text = f"{said!r:.200}" if type(said) is str else f"<{type(said).__name__}>"
    return f"{text} could not be formatted: {type(error).__name__}"


def fields(record: logging.LogRecord, mask: Mask) -> Fields:
    """Return the fields of the record's line, with secrets in its text masked. A foreign class may make it raise."""
    of_structlog = _structlogs(record)
    if of_structlog is not None:
        return dict(of_structlog)
    ours: Fields = {"event": _message(record, mask), "level": level_name(record.levelno), "logger": str(record.name)}
    if record.exc_info:
        ours["exc_info"] = record.exc_info
    if record.stack_info:
        ours["stack_info"] = record.stack_info
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**extra, **ours}


def fewest_fields(record: logging.LogRecord, error: BaseException) -> Fields:
    """Return a minimum of fields, for a record that ``fields`` or a later step failed on."""
    of_structlog = _structlogs(record)
    said: object = record.msg
    info: object = record.exc_info
    if of_structlog is not None:
        said, info = of_structlog.get("event"), of_structlog.get("exc_info")
    return {
        "event": not_formatted(said, error),
        "level": level_name(record.levelno) if type(record.levelno) is int else "error",
        "logger": str(record.name),
        "exc_info": info if isinstance(info, (BaseException, tuple)) or info is True else None,
    }


def _message(record: logging.LogRecord, mask: Mask) -> str:
    args: Any = record.args
    if args or type(record.msg) is not str:  # plain text has no keys to mask
        record = copy.copy(record)
        record.msg = mask.value(record.msg)
        record.args = mask.value(args) if isinstance(args, Mapping) else tuple(map(mask.value, args or ()))
    return record.getMessage()


def _structlogs(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return the fields from ``structlog.stdlib.ProcessorFormatter.wrap_for_formatter``; None for other records."""
    said: Any = record.msg
    return said if type(said) is dict and {"_logger", "_name"} <= vars(record).keys() else None

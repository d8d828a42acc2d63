"""Log calls of structlog and of ``logging``, turned into lines. Even a broken log call does not raise into a view."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict

from flask_ops.core.context import ends_the_process
from flask_ops.log import ownership, sink
from flask_ops.log.line import Fields, Lines
from flask_ops.log.masking import Mask

_LEVELS = ("debug", "info", "warning", "error", "critical")
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}
"""Attributes of every record, including those that an earlier formatter adds."""
_insert_arguments = structlog.stdlib.PositionalArgumentsFormatter()


class LineHandler(logging.Handler):
    """Writes the line of each record that passes its filters."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def close(self) -> None:
        """Note that another configuration of ``logging`` begins, or that the process ends."""
        super().close()
        ownership.note_other_configuration()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line of ``record``. Needs no lock, because the sink has its own."""
        try:
            passes: object = self.filter(record)
            if passes:
                # Since Python 3.12 a filter may return another record.
                kept = passes if isinstance(passes, logging.LogRecord) else record
                sink.write_line(self._lines.make(_fields(kept, self._lines.mask)))
        except BaseException as error:
            if ends_the_process(error):
                raise
            # A foreign class may raise anything. A broken log call must not break the request.
            # At the end of the stack, the next call of the caller raises RecursionError anyway.
            with contextlib.suppress(RecursionError):
                sink.write_line(self._lines.make(_fewest_fields(record, error)))
            return True
        return bool(passes)


class BoundLogger(structlog.stdlib.BoundLogger):
    """Accepts any number as a level. structlog's raises KeyError for others than the five."""

    def log(self, level: int, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Log at the highest of the five levels that does not exceed ``level``."""
        return self._proxy_to_logger(_level_name(level), event, *args, **kw)


class PrepareEvent:
    """Adds the logger's name, and inserts masked arguments into the event. structlog's own processors may raise."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def __call__(self, logger: logging.Logger, method: str, fields: EventDict) -> EventDict:
        """Return ``fields`` without ``positional_args``. If they do not fit, the event says so."""
        fields["logger"] = logger.name
        if "positional_args" not in fields:
            return fields
        try:
            fields["positional_args"] = tuple(map(self._mask.value, fields["positional_args"]))
            return _insert_arguments(logger, method, fields)
        except Exception as error:  # noqa: BLE001 - the line is written anyway, as with the standard library's loggers
            del fields["positional_args"]
            fields["event"] = _not_formatted(fields.get("event"), error)
            return fields


class Record(logging.LogRecord):
    """A record that accepts any arguments. The standard library's raises if an argument's methods raise."""

    def __init__(
        self, name: str, level: int, pathname: str, lineno: int, msg: object, args: Any, *more: Any, **named: Any
    ) -> None:
        if ownership.OWNERSHIP.enabled is not None:
            ownership.keep()  # before this record gets to the handlers of another configuration
        try:
            super().__init__(name, level, pathname, lineno, msg, args, *more, **named)
        except Exception as error:  # noqa: BLE001 - a foreign class's exception must not reach the log call
            super().__init__(name, level, pathname, lineno, _not_formatted(msg, error), None, *more, **named)


def _level_name(number: int) -> str:
    """Return the level for ``number``. Between two levels, return the lower one; below all, debug."""
    return _LEVELS[min(max(number // 10, 1), len(_LEVELS)) - 1]


def _not_formatted(said: object, error: BaseException) -> str:
    """Return an event in place of ``said``, which could not be formatted. Raises nothing."""
    text = f"{said!r:.200}" if type(said) is str else f"<{type(said).__name__}>"
    return f"{text} could not be formatted: {type(error).__name__}"


def _fields(record: logging.LogRecord, mask: Mask) -> Fields:
    """Return the fields of the record's line, with secrets in its text masked. A foreign class may make it raise."""
    of_structlog = _structlogs(record)
    if of_structlog is not None:
        return dict(of_structlog)
    fields: dict[str, Any] = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    fields |= {"event": _message(record, mask), "level": _level_name(record.levelno), "logger": str(record.name)}
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    if record.stack_info:
        fields["stack_info"] = record.stack_info
    return fields


def _fewest_fields(record: logging.LogRecord, error: BaseException) -> Fields:
    """Return a minimum of fields, for a record that ``_fields`` or a later step failed on."""
    of_structlog = _structlogs(record) or {"event": record.msg, "exc_info": record.exc_info}
    info: object = of_structlog.get("exc_info")
    return {
        "event": _not_formatted(of_structlog.get("event"), error),
        "level": _level_name(record.levelno) if type(record.levelno) is int else "error",
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

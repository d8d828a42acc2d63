"""structlog's logger, changed so that a broken log call does not raise."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.typing import EventDict

from flask_ops.log.masking import Mask
from flask_ops.log.records import level_name, not_formatted

_insert = structlog.stdlib.PositionalArgumentsFormatter()


class BoundLogger(structlog.stdlib.BoundLogger):
    """Accepts any number as a level."""

    def log(self, level: int, event: str | None = None, *args: Any, **kw: Any) -> Any:
        """Log at the highest of the five levels that does not exceed ``level``."""
        return self._proxy_to_logger(level_name(level), event, *args, **kw)


def add_logger_name(logger: logging.Logger, _method: str, fields: EventDict) -> EventDict:
    """Add the logger's name. structlog's function reads a field ``_record``, which a caller may set."""
    fields["logger"] = logger.name
    return fields


class InsertArguments:
    """Inserts masked positional arguments into the event. If they do not fit, the event says so."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def __call__(self, logger: logging.Logger, method: str, fields: EventDict) -> EventDict:
        """Return ``fields`` without ``positional_args``."""
        if "positional_args" not in fields:
            return fields
        try:
            fields["positional_args"] = tuple(map(self._mask.value, fields["positional_args"]))
            return _insert(logger, method, fields)
        except Exception as error:  # noqa: BLE001 - the line is written anyway, as with the standard library's loggers
            del fields["positional_args"]
            fields["event"] = not_formatted(fields.get("event"), error)
            return fields

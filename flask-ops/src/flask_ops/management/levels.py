"""``/loglevel`` of the management listener: the levels of the loggers, and how long they last."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import structlog

from flask_ops.core.http import Request, Response
from flask_ops.core.settings import LogLevel
from flask_ops.log import levels
from flask_ops.log.levels import MAX_OVERRIDES, ROOT, TooManyOverridesError
from flask_ops.web.answers import json_answer, problem_answer

_LONGEST_SECONDS = 7 * 86400
_FORM = 'Expected a JSON object like {"level": "debug", "logger": "sqlalchemy", "seconds": 600}'
_MAX_NAME = 200
_log = structlog.stdlib.get_logger(__name__)


def show(_request: Request | None = None) -> Response:
    """Answer with the levels of the root and of each known logger, and with the overrides."""
    changed = overridden()
    known = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    effective = {name: each["level"] for name, each in changed.items() if name != ROOT}
    effective |= {each.name: _name(each.getEffectiveLevel()) for each in known}
    return json_answer(200, {"root": root_level(), "loggers": dict(sorted(effective.items())), "overridden": changed})


def root_level() -> str:
    """Return the level of the root in this process."""
    return _name(logging.root.level)


def overridden() -> dict[str, dict[str, str | None]]:
    """Return the level of each overridden logger and its end: None if it lasts until the server stops."""
    return {
        name: {"level": each.level, "until": None if each.until is None else rfc3339(each.until, "milliseconds")}
        for name, each in levels.overrides().items()
    }


def change(request: Request) -> Response:
    """Change a level in all processes, as the body asks. Answer with the new levels."""
    try:
        logger, level, seconds = _parse(request.body)
    except ValueError as error:
        return problem_answer(400, str(error))
    try:
        levels.override(logger, level, seconds)
    except TooManyOverridesError:
        return problem_answer(409, f"{MAX_OVERRIDES} loggers are overridden. A level of null removes one of them.")
    except OSError as error:
        return problem_answer(503, f"Cannot inform the other processes: {error.strerror or error}.")
    to = level or "as configured"
    _log.warning("log level changed", changed=logger, to=to, seconds=seconds, client=request.client)
    return show()


def _parse(body: bytes) -> tuple[str, LogLevel | None, float | None]:
    """Return logger, level and seconds. Raises ValueError with the expected form."""
    try:
        asked: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"{_FORM}. The body is not JSON, or is nested too deeply.") from None
    if not isinstance(asked, dict) or "level" not in asked or asked.keys() - {"level", "logger", "seconds"}:
        raise ValueError(f"{_FORM}. logger and seconds are optional; a level of null removes a change.")
    logger, seconds = asked.get("logger", ROOT), asked.get("seconds")
    # Refuse unprintable names, such as a lone surrogate, which no answer can hold.
    if not isinstance(logger, str) or not 0 < len(logger) <= _MAX_NAME or not logger.isprintable():
        raise ValueError(f"logger: expected a name of 1 to {_MAX_NAME} printable characters.")
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds <= _LONGEST_SECONDS):
        raise ValueError(f"seconds: expected a number above 0, at most {_LONGEST_SECONDS} (7 days).")
    if asked["level"] is None:
        return logger, None, None
    try:
        return logger, LogLevel(asked["level"].lower()), seconds
    except (ValueError, AttributeError):
        raise ValueError(f"level: expected one of {', '.join(LogLevel)}.") from None


def _name(level: int) -> str:
    return logging.getLevelName(level).lower()


def rfc3339(seconds: float, timespec: str) -> str:
    """Return a Unix time as text, for people and programs."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")

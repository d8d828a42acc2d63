"""Exceptions as data: types, texts, frames, causes and groups, without local variables, which can hold secrets."""

from __future__ import annotations

import traceback
from typing import Any

from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo

_transform = ExceptionDictTransformer(show_locals=False, use_rich=False, max_frames=50)


def structured(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Return the exception, then its causes or contexts, each with its frames. The last frame raised it.

    ``exceptions`` has a list of the same form for each member of a group.
    """
    try:
        cause = _cause_never_raised(exc_info[1])
        last = [] if cause is None else _transform((type(cause), cause, None))
        return [*_transform(exc_info), *({**each, "is_cause": True} for each in last)]
    except Exception as error:  # noqa: BLE001 - a foreign exception class may raise anything
        return [{"exc_type": exc_info[0].__name__, "exc_value": _unreadable(error), "is_cause": False, "frames": []}]


def _cause_never_raised(error: BaseException | None) -> BaseException | None:
    """Return the cause that structlog leaves out: ``raise A from B("reason")``."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        cause = error.__cause__
        if cause is not None and cause.__traceback__ is None and id(cause) not in seen:
            return cause
        error = cause or (None if error.__suppress_context__ else error.__context__)
    return None


def as_text(exc_info: ExcInfo) -> dict[str, str]:
    """Return ``type``, ``message`` and ``stack_trace`` (Python's traceback), for formats that need text."""
    kind, error, _ = exc_info
    try:
        text, message = "".join(traceback.format_exception(*exc_info)), str(error)
    except Exception as raised:  # noqa: BLE001 - a foreign exception class may raise anything
        message = text = _unreadable(raised)
    return {"type": kind.__name__, "message": message, "stack_trace": text}


def _unreadable(error: Exception) -> str:
    return f"<it could not be read: {type(error).__name__}>"

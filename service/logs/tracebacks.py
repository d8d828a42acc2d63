"""Exceptions as data: types, texts and frames, with causes and groups, and without local variables."""

from __future__ import annotations

import traceback
from typing import Any

from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo

# Local variables hold passwords.
_transform = ExceptionDictTransformer(show_locals=False, use_rich=False)
_ALWAYS = ("exc_type", "exc_value", "is_cause", "frames")


def structured(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Return the exception and then what it came from, each with its frames; the last frame is where it was raised.

    The exceptions of a group are lists of the same form, under ``exceptions``.
    """
    try:
        return [_compact(stack) for stack in _transform(exc_info)]
    except Exception as error:  # noqa: BLE001 - a foreign exception class, whatever it raises
        return [_unreadable(exc_info, error)]


def as_text(exc_info: ExcInfo) -> dict[str, str]:
    """Return ``type``, ``message`` and the traceback as Python prints it, for formats that want it so."""
    kind, error, _ = exc_info
    try:
        text, message = "".join(traceback.format_exception(*exc_info)), str(error)
    except Exception as raised:  # noqa: BLE001 - a foreign exception class, whatever it raises
        message = text = _unreadable(exc_info, raised)["exc_value"]
    return {"type": kind.__name__, "message": message, "stack_trace": text}


def _compact(stack: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, as most of it is most of the time."""
    compact = {name: value for name, value in stack.items() if value or name in _ALWAYS}
    if "exceptions" in compact:
        compact["exceptions"] = [[_compact(each) for each in chain] for chain in compact["exceptions"]]
    return compact


def _unreadable(exc_info: ExcInfo, error: Exception) -> dict[str, Any]:
    said = f"<it could not be read: {type(error).__name__}>"
    return {"exc_type": exc_info[0].__name__, "exc_value": said, "is_cause": False, "frames": []}

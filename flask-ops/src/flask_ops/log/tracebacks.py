"""Exceptions as data: types, texts, frames, causes and groups, without local variables."""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Any

from structlog.typing import ExcInfo

_MAX_FRAMES = 50
"""Frames per exception, half first and half last. A recursion has a thousand similar ones."""
_MAX_EXCEPTIONS = 100
"""Exceptions per line, including causes and members of groups."""


def structured(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Return the exception, then its causes or contexts, each with its frames. The last frame raised it.

    ``exceptions`` has a list of the same form for each member of a group.
    """
    try:
        return _chain(exc_info[1], exc_info[2], set())
    except Exception as error:  # noqa: BLE001 - a foreign exception class may raise anything
        return [_unreadable(exc_info, error)]


def as_text(exc_info: ExcInfo) -> dict[str, str]:
    """Return ``type``, ``message`` and ``stack_trace`` (Python's traceback), for formats that need text."""
    kind, error, _ = exc_info
    try:
        text, message = "".join(traceback.format_exception(*exc_info)), str(error)
    except Exception as raised:  # noqa: BLE001 - a foreign exception class may raise anything
        message = text = _unreadable(exc_info, raised)["exc_value"]
    return {"type": kind.__name__, "message": message, "stack_trace": text}


def _chain(error: BaseException, trace: TracebackType | None, seen: set[int]) -> list[dict[str, Any]]:
    chain: list[dict[str, Any]] = []
    is_cause = False
    while id(error) not in seen and len(seen) < _MAX_EXCEPTIONS:
        seen.add(id(error))
        chain.append(_exception(error, trace, seen, is_cause=is_cause))
        is_cause = error.__cause__ is not None
        before = error.__cause__ if is_cause or error.__suppress_context__ else error.__context__
        if before is None:
            break
        error, trace = before, before.__traceback__
    return chain


def _exception(error: BaseException, trace: TracebackType | None, seen: set[int], *, is_cause: bool) -> dict[str, Any]:
    """Return one exception. It has no frames if it was never raised. Omit empty notes and zero counts."""
    found: dict[str, Any] = {"exc_type": type(error).__name__, "exc_value": _text(error)}
    notes = getattr(error, "__notes__", None)
    if notes:
        found["exc_notes"] = [_text(note) for note in notes] if isinstance(notes, list) else [_text(notes)]
    if isinstance(error, SyntaxError):
        found["syntax_error"] = {
            "offset": error.offset or 0,
            "filename": error.filename or "?",
            "lineno": error.lineno or 0,
            "line": error.text or "",
            "msg": error.msg,
        }
    found["is_cause"] = is_cause
    frames = [
        {"filename": _path(frame.f_code.co_filename), "lineno": line, "name": frame.f_code.co_name}
        for frame, line in traceback.walk_tb(trace)
    ]
    found["frames"] = frames
    if len(frames) > _MAX_FRAMES:
        found["frames"] = [*frames[: _MAX_FRAMES // 2], *frames[-_MAX_FRAMES // 2 :]]
        found["frames_left_out"] = len(frames) - _MAX_FRAMES
    if isinstance(error, BaseExceptionGroup):
        found["is_group"] = True
        chains = [_chain(member, member.__traceback__, seen) for member in error.exceptions]
        found["exceptions"] = [chain for chain in chains if chain]
        if [] in chains:
            found["exceptions_left_out"] = chains.count([])
    return found


def _path(filename: str) -> str:
    return filename if filename.startswith("<") else os.path.abspath(filename)  # noqa: PTH100 - resolve() would read the disk


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a foreign exception class may raise anything
        return f"<it could not be read: {type(error).__name__}>"


def _unreadable(exc_info: ExcInfo, error: Exception) -> dict[str, Any]:
    said = f"<it could not be read: {type(error).__name__}>"
    return {"exc_type": exc_info[0].__name__, "exc_value": said, "is_cause": False, "frames": []}

"""A limit for repeated warnings and errors."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from flask_ops.core import forks

WINDOW_SECONDS = 60.0
LEFT_OUT = "repeats_left_out"
"""The field of the next written line, with the number of repeats left out before it."""
OTHERS_LEFT_OUT = "other_repeats_left_out"
"""The field of a line whose text replaced another text here, with the number of left-out repeats of that text."""
_MAX_TEXTS = 1000
"""Number of texts to remember. A further text replaces the oldest."""

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Said:
    since: float
    times: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Passes ``limit`` identical records a minute, and all records below warning.

    Identical records have the same logger, level and text. Their exceptions have the same type, and come from the same
    line.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._reset()
        forks.in_child(self._reset)

    def _reset(self) -> None:
        # Reentrant: the garbage collector may run while this thread holds the lock, and a finalizer may log.
        self._lock = threading.RLock()
        self._texts: OrderedDict[_Key, _Said] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record over the limit."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.levelno, _text(record), *_raised(record))
        now = time.monotonic()
        counts: dict[str, int] = {}
        new = _Said(now)
        with self._lock:
            said = self._texts.setdefault(key, new)
            if now - said.since >= WINDOW_SECONDS:
                said.since, said.times = now, 0
            if said.times >= self._limit:
                said.left_out += 1
                return False
            said.times += 1
            counts[LEFT_OUT], said.left_out = said.left_out, 0
            if len(self._texts) > _MAX_TEXTS:
                counts[OTHERS_LEFT_OUT] = self._texts.popitem(last=False)[1].left_out
        counts = {name: count for name, count in counts.items() if count}
        if isinstance(record.msg, dict):  # structlog's; may belong to the caller, so it is copied
            record.msg = {**record.msg, **counts}
        else:
            vars(record).update(counts)
        return True


def _text(record: logging.LogRecord) -> str:
    try:
        return str(record.msg.get("event")) if isinstance(record.msg, dict) else record.getMessage()
    except Exception:  # noqa: BLE001 - a broken log call is still written, as far as possible
        return str(type(record.msg))


def _raised(record: logging.LogRecord) -> _Key:
    """Return the type of the exception in ``record``, with the file and line that raised it."""
    found: Any = record.msg.get("exc_info") if isinstance(record.msg, dict) else record.exc_info
    if isinstance(found, tuple):
        found = found[1] if len(found) > 1 else None
    elif found and not isinstance(found, BaseException):  # structlog's callers may pass True
        found = sys.exception()
    if not isinstance(found, BaseException):
        return ()
    trace = found.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(found), *((trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ()))

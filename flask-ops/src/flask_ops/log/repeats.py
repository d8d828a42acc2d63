"""A limit for warnings and errors that say the same again and again."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

WINDOW_SECONDS = 60.0
LEFT_OUT = "repeats_left_out"
"""The field of the next line that is written, with the number of those that were not."""
OTHERS_LEFT_OUT = "other_repeats_left_out"
"""The field of the line for whose text another one was forgotten, with the number of those of that text."""
_MAX_TEXTS = 1000
"""Texts that are remembered; beyond, the one that was said first is forgotten."""

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Said:
    since: float
    times: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Lets ``limit`` records through each minute that say the same; those below warning all.

    The same is what has the same logger, level and text and, with an exception, the same type from the same line.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # The garbage collector may run in here, in this very thread, and what it collects may log.
        self._lock = threading.RLock()
        self._texts: OrderedDict[_Key, _Said] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what was said often enough."""
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
        if isinstance(record.msg, dict):  # structlog's, which may be its caller's own
            record.msg = {**record.msg, **counts}
        else:
            vars(record).update(counts)
        return True


def _text(record: logging.LogRecord) -> str:
    try:
        return str(record.msg.get("event")) if isinstance(record.msg, dict) else record.getMessage()
    except Exception:  # noqa: BLE001 - a log call that cannot be formatted is written as far as it goes
        return str(type(record.msg))


def _raised(record: logging.LogRecord) -> _Key:
    """Return the type of the exception that ``record`` tells of, and where it was raised."""
    found: Any = record.msg.get("exc_info") if isinstance(record.msg, dict) else record.exc_info
    if isinstance(found, tuple):
        found = found[1] if len(found) > 1 else None
    elif found and not isinstance(found, BaseException):  # structlog's callers may say True
        found = sys.exception()
    if not isinstance(found, BaseException):
        return ()
    trace = found.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(found), *((trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ()))

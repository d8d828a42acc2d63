"""A limit for warnings and errors that say the same again and again."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
LEFT_OUT = "repeats_left_out"
"""The field of the next line that is written, with the number of those that were not."""
_MAX_TEXTS = 1000
"""Texts that are remembered; beyond, the one that was said first is forgotten."""

_Key = tuple[str, int, str]


@dataclass(slots=True)
class _Said:
    since: float
    times: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Lets ``limit`` records with the same logger, level and text through each minute; those below warning all."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[_Key, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what was said often enough."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.levelno, _text(record))
        now = time.monotonic()
        with self._lock:
            said = self._texts.get(key)
            if said is None:
                while len(self._texts) >= _MAX_TEXTS:
                    del self._texts[next(iter(self._texts))]
                said = self._texts[key] = _Said(now)
            elif now - said.since >= WINDOW_SECONDS:
                said.since, said.times = now, 0
            if said.times >= self._limit:
                said.left_out += 1
                return False
            said.times += 1
            left_out, said.left_out = said.left_out, 0
        if left_out:
            if isinstance(record.msg, dict):  # structlog's, which may be its caller's own
                record.msg = {**record.msg, LEFT_OUT: left_out}
            else:
                setattr(record, LEFT_OUT, left_out)
        return True


def _text(record: logging.LogRecord) -> str:
    try:
        return str(record.msg.get("event")) if isinstance(record.msg, dict) else record.getMessage()
    except Exception:  # noqa: BLE001 - a log call that cannot be formatted is written as far as it goes
        return str(type(record.msg))

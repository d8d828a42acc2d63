"""Ctrl-C during a start, reported as a log line instead of a traceback, even before the log is configured."""

from __future__ import annotations

import json
import os
import sys
import time
from types import TracebackType

_STDOUT = 1


def expect() -> None:
    """Write the line on Ctrl-C, until ``log.configure`` replaces this hook. Python then ends the process by SIGINT."""
    earlier = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            os.write(_STDOUT, _line())
        else:
            earlier(kind, error, trace)

    sys.excepthook = hook


def _line() -> bytes:
    fields = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": "warning",
        "event": "interrupted",
        "service": os.environ.get("SERVICE_NAME", "service"),
    }
    return f"{json.dumps(fields)}\n".encode()

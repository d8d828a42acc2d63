"""The first steps of a process, before it opens a file, reads its settings or has a log."""

from __future__ import annotations

import json
import os
import sys
import time
from types import TracebackType

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_standard_streams() -> None:
    """Open closed standard streams on the null device.

    A supervisor, or ``>&-``, may have closed them. The first files that the process opens would then get the
    descriptors 0 to 2. The log would go into the metrics store, or into a client's connection.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None and sys.platform != "win32":  # on Windows, programs without a console have none
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open


def expect_interruption() -> None:
    """Report Ctrl-C as a log line instead of a traceback, until ``log.configure`` replaces this hook.

    Python then ends the process by SIGINT.
    """
    earlier = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            earlier(kind, error, trace)
            return
        fields = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "level": "warning",
            "event": "interrupted",
            "service": os.environ.get("SERVICE_NAME", "service"),
        }
        os.write(1, f"{json.dumps(fields)}\n".encode())

    sys.excepthook = hook

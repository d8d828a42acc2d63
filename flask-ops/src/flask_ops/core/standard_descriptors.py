"""Protection of descriptors 0, 1 and 2, which belong to standard input, output and error.

A supervisor, or ``>&-``, may have closed them. The first files that the process opens then get their numbers. The log
would go into the metrics store, or into a client's connection.
"""

from __future__ import annotations

import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed() -> None:
    """Open the closed ones on the null device. Call this before anything opens a file that it keeps."""
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None and sys.platform != "win32":  # on Windows, programs without a console have none
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open

"""Descriptors 0, 1 and 2 belong to standard input, output and error, open or not.

A process whose supervisor, or ``>&-``, has closed them gives their numbers to the first files that it opens: the log
then goes into the store of the metrics, or into a client's connection.
"""

from __future__ import annotations

import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed() -> None:
    """Open those that are closed on the null device. To be called before anything opens what it keeps."""
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None and sys.platform != "win32":  # where a program without a console has none
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open

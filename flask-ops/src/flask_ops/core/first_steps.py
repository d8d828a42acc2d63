"""The first step of a process, before it opens a file, reads its settings or has a log."""

from __future__ import annotations

import os
import sys

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

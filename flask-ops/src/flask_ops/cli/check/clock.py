"""Whether the clock can be right. Timestamps, request ids and the time that requests waited come from it."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flask_ops.cli.findings import Finding, note, ok, warning

_UNSYNCHRONISED = 0x40
"""STA_UNSYNC in linux/timex.h."""
_DAY = 86400


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``, and room for the rest: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def is_synchronised() -> bool | None:
    """Return what the kernel says of its clock; None where it says nothing."""
    if not sys.platform.startswith("linux"):
        return None
    state = _Timex()  # no modes: it reads
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(state))
    except (AttributeError, OSError):  # another C library
        return None
    return None if answer < 0 else not state.status & _UNSYNCHRONISED  # a container may forbid it


def look(
    now: Callable[[], float] = time.time, synchronised: Callable[[], bool | None] = is_synchronised
) -> Iterator[Finding]:
    """Yield what can be said without a network: a clock that no program corrects can be right, too."""
    written = max(path.stat().st_mtime for path in Path(__file__).parent.parent.rglob("*.py"))
    if now() < written - _DAY:
        days = (written - now()) / _DAY
        yield warning(
            "clock",
            f"It is {days:.0f} days behind the newest file of the service, which cannot be from the future.",
            "Set the clock of the host; where it is right, the file's time is wrong.",
        )
        return
    answer = synchronised()
    if answer is None:
        yield note("clock", "Whether it is synchronised cannot be seen from here.")
    elif answer:
        yield ok("clock", "The kernel says that it is synchronised.")
    else:
        yield note(
            "clock",
            "The kernel knows of nothing that synchronises it.",
            "chrony (with rtcsync, else the kernel is not told) or systemd-timesyncd on the host.",
        )

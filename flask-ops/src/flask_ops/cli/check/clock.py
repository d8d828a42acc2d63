"""Checks of the clock, the source of timestamps, request ids and the waiting time of requests."""

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
    """Tell whether the kernel reports a synchronised clock; None if it reports nothing."""
    if not sys.platform.startswith("linux"):
        return None
    state = _Timex()  # without modes, adjtimex() only reads
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(state))
    except (AttributeError, OSError):  # this C library has no adjtimex()
        return None
    return None if answer < 0 else not state.status & _UNSYNCHRONISED  # a container may forbid it


def look(
    now: Callable[[], float] = time.time, synchronised: Callable[[], bool | None] = is_synchronised
) -> Iterator[Finding]:
    """Yield findings that need no network. An unsynchronised clock can still be right."""
    written = max(path.stat().st_mtime for path in Path(__file__).parent.parent.rglob("*.py"))
    if now() < written - _DAY:
        days = (written - now()) / _DAY
        yield warning(
            "clock",
            f"It is {days:.0f} days behind the newest file of the service, which cannot be from the future.",
            "Set the clock of the host. If it is right, the file's time is wrong.",
        )
        return
    answer = synchronised()
    if answer is None:
        yield note("clock", "Its synchronisation is unknown here.")
    elif answer:
        yield ok("clock", "The kernel reports that it is synchronised.")
    else:
        yield note(
            "clock",
            "The kernel reports that it is not synchronised.",
            "Run systemd-timesyncd on the host, or chrony with rtcsync, which informs the kernel.",
        )

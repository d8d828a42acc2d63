"""The stop that a uWSGI worker misses while it starts. Without this module, its master would wait for it for ever.

In its SIGTERM handler, uWSGI's master sends SIGHUP to its workers, and waits for them without limit. A worker ignores
SIGHUP until it has its own handlers. An ignored signal is lost.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from threading import Thread

START_SECONDS = 60.0
"""Time for a forked worker until it can receive a stop. uWSGI waits as long at a reload."""


def hear(master: int) -> None:
    """Stop this worker, in the background, if it has lost the stop that the process ``master`` sent. Linux only."""
    Thread(target=_stop_if_missed, args=[master], name="missed stop", daemon=True).start()


def _stop_if_missed(master: int) -> None:
    # uWSGI sets this handler last, and only in workers: a mule has none.
    end = time.monotonic() + START_SECONDS
    while not _has("SigCgt", signal.SIGUSR2, os.getpid()):
        if time.monotonic() > end:
            return
        time.sleep(0.01)
    # If the master blocks SIGTERM, its SIGTERM handler is running, unless all processes inherited this mask. Look at
    # the mask of this thread: the main thread blocks all signals for a moment whenever it starts a thread.
    is_inherited = signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if not is_inherited and _has("SigBlk", signal.SIGTERM, master):
        os.kill(os.getpid(), signal.SIGHUP)


def _has(mask: str, number: signal.Signals, pid: int) -> bool:
    """Tell whether a signal is in a mask of proc_pid_status(5). Return False for an ended process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(rf"^{mask}:\s*(\w+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> number - 1 & 1)

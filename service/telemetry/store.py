"""Where the processes of one server keep their metrics, so that any of them can sum up.

prometheus_client keeps each process's values in files that are named after an identifier of the
process. Its own, the pid, makes new files for each worker that ever lived, and a scrape reads them
all. Here the identifier is a slot: a worker's successor gets the same one and continues the files,
so that their number depends on how many workers live at one time.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from service.telemetry import slots

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OWNED = "METRICS_STORE_TO_REMOVE"
"""Names the store that we have made: for the master that replaces this one, and for deploy/uwsgi.ini,
because uWSGI's master runs no Python at its exit."""
DAMAGED = "damaged"
"""The folder in the store for files that could not be read."""
_PREFIX = "service-metrics-"
_LOCK = "lock"
_ABANDONED_SECONDS = 60
"""A store without a lock file is just being made, unless it is older."""

_identity = "0"
_opened = False
_main = 0


def create() -> None:
    """Make the store of this process and of those it will fork; to be called before any metric is made.

    A directory that the user has set in ``PROMETHEUS_MULTIPROC_DIR`` is used, and kept at the exit.
    Without one, a directory of mode 0700 is made; it is removed when the last process that uses it
    ends, or, if that one was killed, by the next server that starts. A second call changes nothing.
    Raises OSError where the store cannot be written.
    """
    global _opened, _main
    if _opened:
        return
    directory = os.environ.get(VARIABLE)
    if directory:
        path = Path(directory)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        _remove_abandoned(Path(tempfile.gettempdir()))
        path = _new_directory()
        os.environ[VARIABLE] = os.environ[OWNED] = str(path)
    in_use = slots.hold_shared(path / _LOCK, if_unused=lambda: _empty(path))
    if os.environ.get(OWNED) == str(path) and path.name.startswith(_PREFIX):
        _remove_at_exit(path, in_use)
    _opened, _main = True, os.getpid()
    # prometheus_client looks for the variable when it is imported, which may have been before.
    from prometheus_client import values  # noqa: PLC0415 - a server with one process has no use for it

    values.ValueClass = values.MultiProcessValue(process_identifier=identity)
    _survive_forks(values.ValueClass)


def _new_directory() -> Path:
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.worker_id() == 0:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700
    # With lazy-apps each worker comes here by itself, and all must meet: at the name of their master,
    # or where there is none, of the first worker, which has forked the others.
    first = os.getpid() if uwsgi.worker_id() == 1 else os.getppid()
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{uwsgi.masterpid() or first}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(path))
    return path


def _survive_forks(value_class: Any) -> None:
    """Have no fork copy a locked lock, on which the child would wait for ever with its first value.

    A thread of the parent may hold prometheus_client's one lock just when another one forks.
    """
    cells = (cell.cell_contents for cell in value_class.inc.__closure__)
    lock = next(content for content in cells if isinstance(content, type(threading.Lock())))
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def is_shared() -> bool:
    """Tell whether several processes keep their metrics together."""
    return bool(os.environ.get(VARIABLE))


def directory() -> Path:
    """Return the folder of the store. Raises KeyError where there is none."""
    return Path(os.environ[VARIABLE])


def main_process() -> int:
    """Return the pid of the process that has forked the others, or of the only one."""
    return _main or os.getpid()


def identity() -> str:
    """Return what this process's files are named after: unique among the processes that live."""
    return _identity


def identify(name: str) -> None:
    """Give this process its name in the store."""
    global _identity  # noqa: PLW0603 - one identity a process
    _identity = name


def prepare(slot: int) -> None:
    """Make the files of a slot fit for its next owner: no momentary values, nothing unreadable.

    To be called while no process owns the slot.
    """
    from service.telemetry.store_reader import read  # noqa: PLC0415 - after create()

    forget(slot)
    for path in directory().glob(f"*_{slot}.db"):
        if read(path) is None and path.exists():
            path.unlink()  # empty: its owner was killed as it was made


def forget(slot: int) -> None:
    """Drop what the owner of a slot was measuring at the moment; what it has counted stays."""
    for pattern in (f"gauge_live*_{slot}.db", f"*_{slot}.json"):
        for path in directory().glob(pattern):
            path.unlink(missing_ok=True)


def _empty(path: Path) -> None:
    """Remove the metrics of a server that no longer lives."""
    for file in [*path.glob("*.db"), *path.glob("*.json"), *path.glob("slot-*")]:
        file.unlink(missing_ok=True)
    shutil.rmtree(path / DAMAGED, ignore_errors=True)


def _remove_abandoned(temporary: Path) -> None:
    for path in temporary.glob(f"{_PREFIX}*"):
        try:
            if path.stat().st_uid != os.getuid():
                continue
            young = time.time() - path.stat().st_mtime < _ABANDONED_SECONDS
            if slots.is_free(path / _LOCK, if_missing=not young):
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:  # another server, which starts as we do, was faster
            continue


def _remove_at_exit(path: Path, in_use: int) -> None:
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker inherits this function
            os.close(in_use)
            if slots.is_free(path / _LOCK, if_missing=True):  # else the master that replaces us goes on with it
                shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)


def _name_a_stray_child() -> None:
    # What a worker forks, with multiprocessing say, must not write into the worker's files.
    identify(f"p{os.getpid()}")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_name_a_stray_child)

"""The folder of the metrics store.

It exists before the first metric. Processes share it, a new master inherits it, and the last process removes it.
Without it, each process would show its own counts only.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import stat
import tempfile
import time
from functools import partial
from pathlib import Path

from flask_ops.core import multiprocess
from flask_ops.metrics import slots, store, store_layout

OWNED = "METRICS_STORE_TO_REMOVE"
"""The variable that names the store if this library made it. The master that replaces this one reads it. So does
deploy/uwsgi.ini, because uWSGI's master runs no Python at its exit."""
_PREFIX = "service-metrics-"
_LOCK = "lock"
_ABANDONED_SECONDS = 60
"""A store without a lock file is abandoned if it is older. A younger one is still being made."""
_RESERVED_BYTES = 2**20
"""No server starts with less free space in the store: it could not count its requests."""

_opened = False
_made = False
_main = 0


def make(loader: int | None = None) -> None:
    """Make the store of this process and its future children. Call it before any metric is made.

    If ``PROMETHEUS_MULTIPROC_DIR`` is set, use this directory and keep it at the exit. Otherwise make a directory of
    mode 0700. The last process that uses it removes it. If that process is killed, the next server that starts does.
    A second call changes nothing.

    ``loader`` is for workers that each load the application. It is the pid of the process that forks them. They share
    one directory, which is named after it.

    Raises OSError if the store cannot be written or has no room.
    """
    global _opened, _made, _main  # noqa: PLW0603 - one store a process
    if _opened:
        return
    directory = os.environ.get(multiprocess.VARIABLE)
    if directory:
        path = Path(directory).absolute()  # the working directory may change later
        os.environ[multiprocess.VARIABLE] = str(path)
        _made = not path.exists()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        in_use = slots.hold_shared(path / _LOCK, if_unused=partial(_empty, path))
    else:
        _remove_abandoned(Path(tempfile.gettempdir()))
        path, in_use = _new_store(loader)
        _made = True
        os.environ[multiprocess.VARIABLE] = os.environ[OWNED] = str(path)
    _leave_at_exit(path, in_use, owned=os.environ.get(OWNED) == str(path) and path.name.startswith(_PREFIX))
    multiprocess.reserve(path, _RESERVED_BYTES)
    store.identify(slots.take(path))
    _opened, _main = True, loader or os.getpid()
    # prometheus_client reads the variable only when it is imported, which may have happened before.
    from flask_ops.metrics import store_files  # noqa: PLC0415 - a server with one process does not need it

    store_files.install(store.identity)


def give_to(user: int, group: int) -> None:
    """Give the store, if this process made it, to the user that workers change to from root."""
    if _made:
        os.chown(multiprocess.directory(), user, group)


def _new_store(loader: int | None) -> tuple[Path, int]:
    """Make a folder; return it, and the descriptor of the lock that marks it as used."""
    while True:
        path = _new_directory(loader)
        try:
            return path, slots.hold_shared(path / _LOCK, if_unused=partial(_empty, path))
        except FileNotFoundError:
            if path.exists():
                raise
            # Another starting server removed it as abandoned, after the lock file was made and before it was locked.


def _new_directory(loader: int | None) -> Path:
    if loader is None:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{loader}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(path))
    return path


def main_process() -> int:
    """Return the pid of the process that forked the others, or of the only process."""
    return _main or os.getpid()


def _empty(path: Path) -> None:
    """Remove the metrics of a server that has ended."""
    mine = str(os.getpid())  # keep metrics that this process made before this call
    for file in path.iterdir():
        if store_layout.is_ours(file) and store_layout.owner_of(file) != mine:
            file.unlink(missing_ok=True)
    for file in store_layout.set_aside(path):
        file.unlink(missing_ok=True)


def _remove_abandoned(temporary: Path) -> None:
    for path in temporary.glob(f"{_PREFIX}*"):
        try:
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or os.geteuid() not in {0, status.st_uid}:
                continue
            if (path / _LOCK).exists():
                if slots.is_free(path / _LOCK, if_missing=False):
                    shutil.rmtree(path, ignore_errors=True)
            elif time.time() - status.st_mtime > _ABANDONED_SECONDS:
                path.rmdir()  # its server was killed early; a folder with files is not ours, and rmdir() fails
        except OSError:  # another starting server was faster
            continue


def _leave_at_exit(path: Path, in_use: int, *, owned: bool) -> None:
    owner = os.getpid()

    def leave() -> None:
        if os.getpid() != owner:  # a forked worker inherits this function
            return
        os.close(in_use)
        with contextlib.suppress(OSError):  # it is gone, or belongs to the former user of this process
            if owned and slots.is_free(path / _LOCK, if_missing=True):  # otherwise the next master uses it
                shutil.rmtree(path, ignore_errors=True)
                return
            for name in {str(owner), *slots.held()}:  # other processes would continue to sum these
                store.forget(name)

    atexit.register(leave)

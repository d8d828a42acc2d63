"""The folder of the metrics store: made before any metric is, shared, left to a successor, removed at the end."""

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

from flask_ops.core import disk, multiprocess
from flask_ops.metrics import slots, store, store_layout

OWNED = "METRICS_STORE_TO_REMOVE"
"""Names the store that we have made: for the master that replaces this one, and for deploy/uwsgi.ini,
because uWSGI's master runs no Python at its exit."""
_PREFIX = "service-metrics-"
_LOCK = "lock"
_ABANDONED_SECONDS = 60
"""A store without a lock file is just being made, unless it is older."""
_RESERVED_BYTES = 2**20
"""Without so much room in the store no server starts: it could not count what it serves."""

_opened = False
_made = False
_main = 0


def make(loader: int | None = None) -> None:
    """Make the store of this process and of those it will fork; to be called before any metric is made.

    A directory that the user has set in ``PROMETHEUS_MULTIPROC_DIR`` is used, and kept at the exit.
    Without one, a directory of mode 0700 is made; it is removed when the last process that uses it
    ends, or, if that one was killed, by the next server that starts. A second call changes nothing.

    ``loader`` is for workers that each load the application: the pid of the process that forks them. They meet in one
    directory, which is named after it.

    Raises OSError where the store cannot be written, or has no room.
    """
    global _opened, _made, _main  # noqa: PLW0603 - one store a process
    if _opened:
        return
    directory = os.environ.get(multiprocess.VARIABLE)
    if directory:
        path = Path(directory).absolute()  # before somebody changes to another folder
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
    disk.reserve(path, _RESERVED_BYTES)
    store.identify(slots.take(path))
    _opened, _main = True, loader or os.getpid()
    # prometheus_client looks for the variable when it is imported, which may have been before.
    from flask_ops.metrics import store_files  # noqa: PLC0415 - a server with one process has no use for it

    store_files.install(store.identity)


def give_to(user: int, group: int) -> None:
    """Let workers that give up root for this user use the store, if we have made it."""
    if _made:
        os.chown(multiprocess.directory(), user, group)


def _new_store(loader: int | None) -> tuple[Path, int]:
    """Make a folder; return it, and the descriptor by which it is known to be in use."""
    while True:
        path = _new_directory(loader)
        try:
            return path, slots.hold_shared(path / _LOCK, if_unused=partial(_empty, path))
        except FileNotFoundError:
            if path.exists():
                raise
            # Another server that starts took it for an abandoned one, between the making of its lock and the locking.


def _new_directory(loader: int | None) -> Path:
    if loader is None:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{loader}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(path))
    return path


def main_process() -> int:
    """Return the pid of the process that has forked the others, or of the only one."""
    return _main or os.getpid()


def _empty(path: Path) -> None:
    """Remove the metrics of a server that no longer lives."""
    mine = str(os.getpid())  # a metric that was made before this was called
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
                path.rmdir()  # its server was killed as it made it; if something is in there, it is not ours
        except OSError:  # another server, which starts as we do, was faster
            continue


def _leave_at_exit(path: Path, in_use: int, *, owned: bool) -> None:
    owner = os.getpid()

    def leave() -> None:
        if os.getpid() != owner:  # a forked worker inherits this function
            return
        os.close(in_use)
        with contextlib.suppress(OSError):  # it is gone, or belongs to a user that this process was before
            if owned and slots.is_free(path / _LOCK, if_missing=True):  # else the master that replaces us goes on
                shutil.rmtree(path, ignore_errors=True)
                return
            for name in {str(owner), *slots.held()}:  # others who share the folder would go on adding these
                store.forget(name)

    atexit.register(leave)

"""The folder of the metrics store: its place, who may use it, and who removes it.

Without this module, each server that is killed would leave a folder behind, and another user could change counts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from flask_ops.core import multiprocess
from flask_ops.metrics import slots, store_files

OWNED = "METRICS_STORE_TO_REMOVE"
"""The variable that names the store if this library made it. The master that replaces this one reads it. So does
deploy/uwsgi.ini, because uWSGI's master runs no Python at its exit."""
_PREFIX = "service-metrics-"
_RESERVED_BYTES = 2**20
"""No server starts with less free space in the store: it could not count its requests."""


class Folder(NamedTuple):
    """The folder, as a process that uses it sees it."""

    path: Path
    lock: int
    """The descriptor that marks it as used."""
    is_new: bool
    """This process made it."""
    is_owned: bool
    """This library made it, perhaps in the master that this one replaces."""

    def reserve(self) -> None:
        """Raise OSError if the folder cannot be written or has no room."""
        multiprocess.reserve(self.path, _RESERVED_BYTES)

    def leave(self) -> bool:
        """Use the folder no more. If it is owned and no process uses it, remove it and return True.

        Raises OSError if the folder is gone, or belongs to the former user of this process.
        """
        os.close(self.lock)
        if not self.is_owned or not slots.is_free(self.path / store_files.LOCK):  # the next master may use it
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True


def obtain(loader: int | None, *, workers_change_user: bool) -> Folder:
    """Return the folder that ``PROMETHEUS_MULTIPROC_DIR`` names, otherwise a new one. ``Store.make`` has the rules."""
    chosen = os.environ.get(multiprocess.VARIABLE)
    if not chosen:
        _remove_abandoned(Path(tempfile.gettempdir()))
        folder = _new_folder(loader)
        os.environ[OWNED] = str(folder.path)
        return folder
    path = Path(chosen).absolute()  # the working directory may change later
    is_new = not path.exists()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner_follows = workers_change_user and os.geteuid() == 0
    refuse_others(path, path.stat().st_uid if owner_follows else os.geteuid())
    is_owned = os.environ.get(OWNED) == str(path) and path.name.startswith(_PREFIX)
    return Folder(path, _use(path), is_new, is_owned)


def refuse_others(path: Path, *users: int) -> None:
    """Raise UnsafeStoreError if a user who is not one of ``users`` can change the folder."""
    if reason := multiprocess.distrust(path, *users):
        raise multiprocess.UnsafeStoreError(path, reason)


def _use(path: Path) -> int:
    """Mark a folder as used; return the descriptor of the lock. Remove the metrics of a server that has ended."""
    mine = str(os.getpid())  # keep metrics that this process made before this call

    def empty() -> None:
        for file in path.iterdir():
            if store_files.is_ours(file) and store_files.owner_of(file) != mine:
                file.unlink(missing_ok=True)

    return slots.hold_shared(path / store_files.LOCK, if_unused=empty)


def _new_folder(loader: int | None) -> Folder:
    while True:
        if loader is None:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700
        else:
            path = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{loader}"
            path.mkdir(mode=0o700, exist_ok=True)
            refuse_others(path, os.geteuid())
        try:
            return Folder(path, _use(path), is_new=True, is_owned=True)
        except FileNotFoundError:
            if path.exists():
                raise
            # Another starting server removed it as abandoned before it was locked.


def _remove_abandoned(temporary: Path) -> None:
    """Remove the stores of killed servers. Otherwise each of them would fill the disk a little more."""
    for path in temporary.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another starting server was faster, or the folder has no lock
            status = path.lstat()
            is_mine = stat.S_ISDIR(status.st_mode) and os.geteuid() in {0, status.st_uid}
            if is_mine and slots.is_free(path / store_files.LOCK):
                shutil.rmtree(path, ignore_errors=True)

"""The metrics store of one server: a folder in which each process counts, and any process can sum up.

prometheus_client names the files of a process after an identifier. By default this is the pid: each new worker adds
files, and a scrape reads all of them. Here the identifier of a process that serves is a slot. A worker's successor gets
the same slot and continues the files. So the number of files depends on the number of workers that live at one time.

Any other process has a name of its own: a child of a worker, a command, or a server until it ``settles``. After its
end, ``ended`` adds its counts to those of the others, and removes its files. Its gauges never count.

Without the store, each process would show its own counts only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from collections.abc import Collection

from flask_ops.core import forks, multiprocess
from flask_ops.metrics import ended, slots, store_files, store_folder, store_reader
from flask_ops.metrics.store_folder import Folder

WORKER, MASTER = "worker", "master"
"""The roles with which processes sign their slots."""


class Store:
    """The store as one process sees it: its folder, and the name and the slots of the process."""

    def __init__(self) -> None:
        self._files: store_files.OwnFiles | None = None
        self._made = False
        self._main = 0
        self._identity: str | None = None  # None in a process that has no name in the store yet
        self._named = 0  # pid of the process with this identity: uWSGI forks without Python's fork hooks
        self._held: dict[str, int] = {}  # slots that this process took for itself or for its children: descriptors
        forks.in_child(self._become_nobody)

    def make(self, loader: int | None = None, *, workers_change_user: bool = False) -> None:
        """Make the store of this process and its future children. Call it before any metric is made.

        If ``PROMETHEUS_MULTIPROC_DIR`` is set, use this directory and keep it at the exit. Otherwise make a directory
        of mode 0700. The last process that uses it removes it. If that process is killed, the next server that starts
        does. A second call changes nothing.

        ``loader`` is for workers that each load the application. It is the pid of the process that forks them. They
        share one directory, which is named after it.

        ``workers_change_user`` is for a root whose workers may have another user: it must call ``give_to``.

        Raises OSError if the store cannot be written or has no room, and UnsafeStoreError if another user can change
        it.
        """
        if self._files is not None:
            return
        folder = store_folder.obtain(loader, workers_change_user=workers_change_user)
        self._made = folder.is_new
        os.environ[multiprocess.VARIABLE] = str(folder.path)
        self._leave_at_exit(folder)
        folder.reserve()
        self._main = loader or os.getpid()
        self._files = store_files.OwnFiles(self.identity)

    def give_to(self, user: int, group: int) -> None:
        """Give the store, if this process made it, to the user that workers change to from root.

        Raises UnsafeStoreError if it belongs to a third user.
        """
        directory = multiprocess.directory()
        store_folder.refuse_others(directory, user, os.geteuid())
        if self._made:
            for path in [*directory.iterdir(), directory]:
                os.chown(path, user, group, follow_symlinks=False)

    def main_process(self) -> int:
        """Return the pid of the process that forked the others, or of the only process."""
        return self._main or os.getpid()

    def maintain(self) -> None:
        """Settle if that failed, and open new files if those of this process were removed.

        Raises OSError if a file cannot be created; call it again then.
        """
        if self._files is not None:
            self._files.reopen_lost()
            self.settle()

    def fold_ended(self) -> None:
        """Add up the counts of child processes that have ended. Raises OSError if the disk is full."""
        if self._files is not None:
            ended.fold(multiprocess.directory())

    def identity(self) -> str:
        """Return the name of this process in the store, unique among the living processes.

        A process that a worker forks, for example with multiprocessing, must not write into the worker's files. It
        gets its own name when it first counts.
        """
        if self._identity is None:
            self.keep_only()
            # Unique: a later process may have the same pid, such as 1 in each container that uses this folder.
            self._identity, self._named = f"{os.getpid()}n{time.time_ns()}", os.getpid()
        return self._identity

    def slot_for_worker(self, living: Collection[str]) -> str:
        """Take a slot for a worker that is forked next. ``living`` are the slots of the others: release the rest."""
        for gone in self._held.keys() - {*living, self.identity()}:
            os.ftruncate(self._held[gone], 0)
            os.close(self._held.pop(gone))
        multiprocess.directory().mkdir(mode=0o700, exist_ok=True)  # a cleanup job may have removed it
        return self._take()

    def become_worker(self, slot: str) -> None:
        """Take over, in a child, the slot that its parent took for it."""
        self.keep_only(slot)
        self._serve(slot, WORKER)

    def settle(self, role: str = WORKER) -> None:
        """Take a slot for this process, because it serves, and sign it. Only now, its gauges count.

        It keeps the values of gauges, which the application may have set when it was loaded, here or before a fork. If
        the process has such a slot, or there is no store, nothing changes. Raises OSError if a file cannot be created.

        uWSGI runs no fork hooks of Python. Without this call, its workers would write into one file and damage it.
        """
        self._become_nobody()
        if self._files is None or self._identity in self._held:
            return
        slot = self._take()
        self.keep_only(slot)
        with self._files.renamed():
            self._serve(slot, role)

    def keep_only(self, *mine: str) -> None:
        """Release, in a child, the slots of other children. Otherwise they would stay locked after their owners end."""
        for name in self._held.keys() - {*mine}:
            os.close(self._held.pop(name))

    def _serve(self, slot: str, role: str) -> None:
        """Use a slot as the name of this process, and sign it with its role and pid."""
        self._identity, self._named = slot, os.getpid()
        os.pwrite(self._held[slot], f"{role} {os.getpid()}\n".encode(), 0)

    def _take(self) -> str:
        """Take a slot. Remove the live gauges, notes, empty and damaged files that its previous owner left."""
        directory = multiprocess.directory()
        slot, self._held[slot] = slots.take(directory)
        forget(slot)
        for path in store_files.metrics_in(directory):
            if store_files.owner_of(path) == slot and not store_reader.read(path):
                path.unlink(missing_ok=True)  # its owner was killed when it created the file
        return slot

    def _become_nobody(self) -> None:
        if self._named != os.getpid():
            self._identity = None

    def _leave_at_exit(self, folder: Folder) -> None:
        owner = os.getpid()

        def leave() -> None:
            if os.getpid() != owner:  # a forked worker inherits this function
                return
            with contextlib.suppress(OSError):  # it is gone, or belongs to the former user of this process
                if not folder.leave():
                    for name in self._held:  # other processes would continue to sum these
                        forget(name)

        atexit.register(leave)


STORE = Store()
"""The store of this process."""


def forget(slot: str) -> None:
    """Remove the live gauges and notes of a slot. Keep its counts."""
    with contextlib.suppress(FileNotFoundError):  # the store was removed; this must not end the master
        for path in multiprocess.directory().iterdir():
            if store_files.is_momentary(path) and store_files.owner_of(path) == slot:
                path.unlink(missing_ok=True)


def forget_the_dead() -> None:
    """Remove the live gauges and notes left by killed processes, for example by a master."""
    slots.visit_free(multiprocess.directory(), forget)

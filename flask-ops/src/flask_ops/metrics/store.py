"""Where the processes of one server keep their metrics, so that any of them can sum up.

prometheus_client keeps each process's values in files that are named after an identifier of the
process. Its own, the pid, makes new files for each worker that ever lived, and a scrape reads them
all. Here the identifier is a slot: a worker's successor gets the same one and continues the files,
so that their number depends on how many workers live at one time.
"""

from __future__ import annotations

import os
from contextlib import suppress

from flask_ops.core import multiprocess
from flask_ops.metrics import slots, store_layout

WORKER, MASTER = "worker", "master"
"""What processes sign their slots as."""

_identity: str | None = ""
"""None in a process that has just been forked, and has no name in the store yet."""
_named = 0
"""The pid of the process that has this identity: uWSGI forks without Python's hooks."""


def identity() -> str:
    """Return what this process's files are named after: unique among the processes that live.

    Who was forked by a worker, with multiprocessing say, must not write into the worker's files: it gets a name of
    its own as it counts for the first time, and the next one like it goes on with its files.
    """
    global _identity  # noqa: PLW0603 - one identity a process
    if _identity is None:
        slots.keep_only()
        _identity = slots.take(multiprocess.directory(), slots.STRAY)
    return _identity


def identify(name: str) -> None:
    """Give this process its name in the store."""
    global _identity, _named
    _identity, _named = name, os.getpid()


def settle(*, parent_serves: bool) -> None:
    """Give this process, which uWSGI has forked to serve, a slot of its own; a second call changes nothing."""
    if _named != os.getpid():
        for name in () if parent_serves else slots.held():
            forget(name)  # what the master has made by loading the application
        slot = slots.take(multiprocess.directory())
        slots.keep_only(slot)
        prepare(slot)
        identify(slot)
    slots.sign(identity(), WORKER)


def serve() -> None:
    """Give this process a slot of its own if a server that is not ours has forked it; a second call changes nothing.

    uWSGI forks without Python's hooks: two processes would write into one file, and damage it.
    """
    if not _named:  # there is no store, or it is not ours
        return
    _become_nobody()
    with suppress(OSError):  # identity() tries again with the first count, which is logged if it fails
        settle(parent_serves=True)


def prepare(slot: str) -> None:
    """Make the files of a slot fit for its next owner: no momentary values, nothing unreadable.

    To be called while no process owns the slot.
    """
    from flask_ops.metrics.store_reader import read  # noqa: PLC0415 - with prometheus_client, after the folder is made

    forget(slot)
    for path in store_layout.files(multiprocess.directory()):
        if store_layout.owner_of(path) == slot and read(path) is None and path.exists():
            path.unlink()  # empty: its owner was killed as it was made


def forget_the_dead() -> None:
    """Drop the momentary values of processes that nobody has said goodbye for: those of a master that was killed."""
    slots.visit_free(multiprocess.directory(), forget)


def forget(slot: str) -> None:
    """Remove the live gauges and the notes of a slot. Its counts stay."""
    with suppress(FileNotFoundError):  # the store was removed: that must not end the master, which calls this
        for path in multiprocess.directory().iterdir():
            if store_layout.MOMENTARY.fullmatch(path.name) and store_layout.owner_of(path) == slot:
                path.unlink(missing_ok=True)


def _become_nobody() -> None:
    global _identity  # noqa: PLW0603 - one identity a process
    if _named != os.getpid():
        _identity = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_become_nobody)

"""The metrics store of one server. Each process writes its own files, and any process can sum them up.

prometheus_client names the files of a process after an identifier. By default this is the pid: each new worker adds
files, and a scrape reads all of them. Here the identifier is a slot. A worker's successor gets the same slot and
continues the files. So the number of files depends on the number of workers that live at one time.
"""

from __future__ import annotations

import os
from contextlib import suppress

from flask_ops.core import forks, multiprocess
from flask_ops.metrics import slots, store_layout

WORKER, MASTER = "worker", "master"
"""The roles with which processes sign their slots."""

_identity: str | None = ""
"""None in a process that was just forked and has no name in the store yet."""
_named = 0
"""The pid of the process with this identity. It reveals a fork by uWSGI, which runs no fork hooks of Python."""


def identity() -> str:
    """Return the name of this process in the store, unique among the living processes.

    A process that a worker forks, for example with multiprocessing, must not write into the worker's files. It gets
    its own name when it first counts. After its end, the next such process continues its files.
    """
    global _identity  # noqa: PLW0603 - one identity a process
    if _identity is None:
        slots.keep_only()
        _identity = slots.take(multiprocess.directory(), slots.STRAY)
    return _identity


def identify(name: str) -> None:
    """Set the name of this process in the store."""
    global _identity, _named
    _identity, _named = name, os.getpid()


def settle(*, parent_serves: bool) -> None:
    """Take a slot for this process, which uWSGI forked to serve. A second call changes nothing."""
    if _named != os.getpid():
        for name in () if parent_serves else slots.held():
            forget(name)  # the master created live gauges when it loaded the application
        slot = slots.take(multiprocess.directory())
        slots.keep_only(slot)
        prepare(slot)
        identify(slot)
    slots.sign(identity(), WORKER)


def serve() -> None:
    """Take a slot for this process if a server without our integration forked it. A second call changes nothing.

    uWSGI runs no fork hooks of Python. Without this call, two processes would write into one file and damage it.
    """
    if not _named:  # there is no store, or this library did not open it
        return
    _become_nobody()
    with suppress(OSError):  # identity() tries again at the first count; a failure is logged then
        settle(parent_serves=True)


def prepare(slot: str) -> None:
    """Remove the live gauges, notes and unreadable files of a slot before its next owner takes it.

    Call it while no process owns the slot.
    """
    from flask_ops.metrics.store_reader import read  # noqa: PLC0415 - imports prometheus_client, which needs the folder

    forget(slot)
    for path in store_layout.files(multiprocess.directory()):
        if store_layout.owner_of(path) == slot and read(path) is None and path.exists():
            path.unlink()  # empty: its owner was killed when it created the file


def forget_the_dead() -> None:
    """Remove the live gauges and notes left by killed processes, for example by a master."""
    slots.visit_free(multiprocess.directory(), forget)


def forget(slot: str) -> None:
    """Remove the live gauges and notes of a slot. Keep its counts."""
    with suppress(FileNotFoundError):  # the store was removed; this must not end the master
        for path in multiprocess.directory().iterdir():
            if store_layout.MOMENTARY.fullmatch(path.name) and store_layout.owner_of(path) == slot:
                path.unlink(missing_ok=True)


def _become_nobody() -> None:
    global _identity  # noqa: PLW0603 - one identity a process
    if _named != os.getpid():
        _identity = None


forks.in_child(_become_nobody)

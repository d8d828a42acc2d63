"""prometheus_client's files in the store, made safe against full disks, forks and removed files."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict, values

from flask_ops.core import multiprocess

_closure: dict[str, Any] = {}
"""Variables of the functions in prometheus_client's value class: ``files`` by kind, ``lock``, ``pid``, ``values``."""
_is_reopening = False


class AllocatedFile(mmap_dict.MmapedDict):
    """A metrics file with disk space that is allocated before it is written.

    A mapped file has holes. If a process writes into a hole while the disk is full, the kernel kills it (SIGBUS). Here
    the creation of a series raises OSError instead. An existing series can always be incremented.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with Path(filename).open("ab") as file:
                size = os.fstat(file.fileno()).st_size
                try:
                    multiprocess.allocate(file.fileno(), size or mmap_dict._INITIAL_MMAP_SIZE)
                except OSError:
                    if size == 0:  # an empty file would count as damaged
                        Path(filename).unlink(missing_ok=True)
                    raise
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]  # it has no annotations

    def _init_value(self, key: str) -> None:
        needed = self._used + len(key.encode()) + 32  # length, padding, value and timestamp
        capacity = self._capacity
        while needed > capacity:
            capacity *= 2
        if capacity > self._capacity:
            multiprocess.allocate(self._f.fileno(), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]  # it has no annotations


def install(identity: Callable[[], str]) -> None:
    """Store the values of all metrics made from now on in files named after ``identity()``."""
    values.MmapedDict = AllocatedFile  # type: ignore[attr-defined] # imported there, and used by that name
    values.ValueClass = values.MultiProcessValue(process_identifier=identity)
    functions = [values.ValueClass.inc, vars(values.ValueClass)["_MmapedValue__check_for_pid_change"]]
    for function in functions:
        cells = zip(function.__code__.co_freevars, function.__closure__, strict=True)
        _closure.update((name, cell.cell_contents) for name, cell in cells)
    lock = _closure["lock"]
    # prometheus_client has one lock. If a thread held it while another thread forks, the child would wait for ever
    # at its first value.
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def reopen_lost() -> None:
    """Open new files if those of this process were set aside or removed. Otherwise its counts would be lost.

    Raises OSError if they cannot be created. The next call tries again.
    """
    global _is_reopening  # noqa: PLW0603 - one set of files a process
    if not _closure:
        return
    with _closure["lock"]:
        if not _is_reopening and all(_is_in_place(file) for file in _closure["files"].values()):
            return
        _is_reopening = True
        _closure["pid"]["value"] = None  # as after a fork: the next use of a value reopens all files
    multiprocess.directory().mkdir(mode=0o700, exist_ok=True)
    for value in _closure["values"][:1]:
        value.get()
    _is_reopening = False


def _is_in_place(file: Any) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(file._fname), os.fstat(file._f.fileno()))  # noqa: PTH116 - runs twice a second
    return False

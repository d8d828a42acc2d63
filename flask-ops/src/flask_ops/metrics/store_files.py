"""The files in the metrics store: their names, and prometheus_client's code that writes them, made safe.

Without it, a full disk would kill a worker, and a removed file would lose the counts of a living one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CellType
from typing import Any

from prometheus_client import mmap_dict, values

from flask_ops.core import multiprocess
from flask_ops.metrics import misuses

_METRICS = re.compile(r"(?:counter|histogram|summary|gauge_[a-z]+)_[0-9A-Za-z]+\.db")
"""The names that prometheus_client gives its files. A folder of the user may hold other files, which must stay."""
_NOTES = re.compile(
    r"(?:(?:readiness|stuck)_[0-9A-Za-z]+|log-levels)\.(?:json|new)|slot-[0-9A-Za-z]+|folding|[a-z]+_ended-[0-9A-Za-z]+\.new"
)
"""Notes that the processes of a server write for each other, their locks, and sums that ``ended`` has not finished."""
_MOMENTARY = re.compile(r"gauge_live[a-z]+_[0-9A-Za-z]+\.db|(?:readiness|stuck)_[0-9A-Za-z]+\.json")
"""Live gauges, and the notes about a living process."""
_SET_ASIDE = re.compile(r"damaged-[0-9]+-.*\.db")
"""Files that could not be read."""
LOCK = "lock"
"""The lock that each process of a server holds: the store is in use."""
FOLDING = "folding"
"""The lock of the sums: shared while a scrape reads them, exclusive while ``ended`` moves counts between files."""


def metrics_in(directory: Path) -> list[Path]:
    """Return the files in which processes count. Raises OSError if the folder cannot be read."""
    # Not glob(): in Python 3.13 it returns nothing for a folder that cannot be read.
    return sorted(path for path in directory.iterdir() if _METRICS.fullmatch(path.name))


def set_aside_in(directory: Path) -> list[Path]:
    """Return the files that could not be read, under their current names."""
    return [path for path in directory.iterdir() if _SET_ASIDE.fullmatch(path.name)]


def is_ours(path: Path) -> bool:
    """Tell whether a file in the store is ours. Such files are removed before the store is used again."""
    return any(names.fullmatch(path.name) for names in (_METRICS, _NOTES, _SET_ASIDE))


def is_momentary(path: Path) -> bool:
    """Tell whether a file describes a living process, and has no meaning after its end."""
    return bool(_MOMENTARY.fullmatch(path.name))


def owner_of(path: Path) -> str:
    """Return the name of the process that owns a file in the store."""
    return path.stem.rpartition("_")[2]


def _open(filename: str, flags: int) -> int:
    return multiprocess.open_own(filename, flags, 0o666)


class AllocatedFile(mmap_dict.MmapedDict):
    """A metrics file with disk space that is allocated before it is written.

    A mapped file has holes. If a process writes into a hole while the disk is full, the kernel kills it (SIGBUS). Here
    the creation of a series raises OSError instead. An existing series can always be incremented.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with open(filename, "ab", opener=_open) as file:
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


def write(path: Path, values_by_key: Mapping[str, float]) -> None:
    """Write a file of counts. If that fails, remove it and raise OSError."""
    file = AllocatedFile(str(path))
    try:
        for key, value in values_by_key.items():
            file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]  # it has no annotations
    except OSError:
        path.unlink()
        raise
    finally:
        file.close()  # type: ignore[no-untyped-call]  # as above


def check_of(value_class: type) -> Callable[[Any], None]:
    """Return the function with which prometheus_client's ``value_class`` finds that its process was forked.

    It opens the files of the new process. Raises KeyError if the values of ``value_class`` are not in files.
    """
    check: Callable[[Any], None] = vars(value_class)["_MmapedValue__check_for_pid_change"]
    return check


def closure_of(function: Any) -> dict[str, CellType]:
    """Return the variables of the function around ``function``, which prometheus_client shares between all values."""
    return dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))


class OwnFiles:
    """The files of this process, named after ``identity()``. All its metrics count in them from now on."""

    def __init__(self, identity: Callable[[], str]) -> None:
        values.MmapedDict = AllocatedFile  # type: ignore[attr-defined] # imported there, and used by that name
        mmap_dict.open = partial(open, opener=_open)  # type: ignore[attr-defined] # instead of the builtin one
        if not values.ValueClass._multiprocess:
            values.ValueClass = values.MultiProcessValue()
        self._is_reopening = False
        self._check = check_of(values.ValueClass)
        cells = {**closure_of(values.ValueClass.inc), **closure_of(self._check)}
        self._closure: dict[str, Any] = {name: cell.cell_contents for name, cell in cells.items()}
        """Variables of prometheus_client's functions: ``files`` by kind, ``lock``, ``pid`` and ``values``."""
        misuses.watch_gauge_functions()
        with self.renamed():  # metrics that were made before, for example when the application was imported
            cells["process_identifier"].cell_contents = identity
        lock = self._closure["lock"]
        # prometheus_client has one lock. If a thread held it while another thread forks, the child would wait for ever
        # at its first value.
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

    @contextlib.contextmanager
    def renamed(self) -> Iterator[None]:
        """Take the values of gauges along to the next files. In the block, ``identity()`` begins to return their name.

        Counts stay in the earlier files. Raises OSError if the next files cannot be created.
        """
        with self._closure["lock"]:
            known = [value for value in self._closure["values"] if value._params[0] == "gauge"]
            kept = [(value, value._value, value._timestamp) for value in known]
            yield
            for value, number, timestamp in kept:
                self._check(value)
                value._value, value._timestamp = number, timestamp
                value._file.write_value(value._key, number, timestamp)

    def reopen_lost(self) -> None:
        """Open new files if those of this process were set aside or removed. Otherwise its counts would be lost.

        Raises OSError if they cannot be created. The next call tries again.
        """
        with self._closure["lock"]:
            if not self._is_reopening and all(_is_in_place(file) for file in self._closure["files"].values()):
                return
            self._is_reopening = True
        multiprocess.directory().mkdir(mode=0o700, exist_ok=True)
        with self.renamed():
            self._closure["pid"]["value"] = None  # as after a fork: the next use of a value reopens all files
        for value in self._closure["values"][:1]:
            value.get()
        self._is_reopening = False


def _is_in_place(file: Any) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(file._fname), os.fstat(file._f.fileno()))  # noqa: PTH116 - runs twice a second
    return False

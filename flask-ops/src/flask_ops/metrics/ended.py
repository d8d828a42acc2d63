"""The counts of processes that served nothing and have ended: one file per type of metric for all of them.

A child that does not come from a plain fork imports prometheus_client again: by ``multiprocessing`` with ``spawn`` or
``forkserver``, or by ``subprocess``. Its files have its pid in their names. The files of all others have the name of a
slot. Without this module, both would stay, and each scrape would read all of them.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from flask_ops.metrics import slots, store_files, store_reader

_OWNER = "ended"
_UNFINISHED = f"*_{_OWNER}-*.new"


def fold(directory: Path) -> None:
    """Add the counts of ended processes to the sums, and remove their files.

    While a scrape reads the files, do nothing: the next call does it. Raises OSError if the disk is full.
    """
    files = defaultdict(list)
    for path in store_files.metrics_in(directory):
        files[store_files.owner_of(path)].append(path)
    for owner, paths in files.items():
        with _claim(directory, owner) as has_ended:
            if has_ended:
                _add(directory, paths)
    if [*directory.glob(_UNFINISHED)]:
        _add(directory, [])


@contextlib.contextmanager
def _claim(directory: Path, owner: str) -> Iterator[bool]:
    """Tell whether the owner of files has ended, and served nothing. In the block, no other process gets its slot."""
    if owner.startswith(slots.STRAY):
        with slots.claimed(directory, owner) as is_free:
            yield is_free
        return
    try:
        if owner.isdecimal():
            os.kill(int(owner), 0)
    except (ProcessLookupError, OverflowError):
        yield True
        return
    except PermissionError:
        pass
    yield False


def _add(directory: Path, paths: list[Path]) -> None:
    with slots.locked(directory / store_files.FOLDING, shared=False) as is_mine:
        if not is_mine:
            return
        for new in directory.glob(_UNFINISHED):
            _finish(new)
        for path in paths:
            if not path.name.startswith("gauge_") and (entries := store_reader.read(path)):
                new = path.with_name(f"{_total(path).stem}-{store_files.owner_of(path)}.new")
                counts: defaultdict[str, float] = defaultdict(float)
                for key, value, _ in [*store_reader.read(_total(path)), *entries]:
                    counts[key.decode()] += value
                store_files.write(new, counts)
                path.unlink()
                _finish(new)
            path.unlink(missing_ok=True)


def _finish(new: Path) -> None:
    """Put new sums in the place of the old ones.

    The names tell whether the process that wrote them was killed before they were complete: it removes the file that
    they include last.
    """
    kind, _, owner = new.stem.partition(f"_{_OWNER}-")
    if new.with_name(f"{kind}_{owner}.db").exists():
        new.unlink()
    else:
        new.replace(_total(new))


def _total(path: Path) -> Path:
    return path.with_name(f"{path.name.partition('_')[0]}_{_OWNER}.db")

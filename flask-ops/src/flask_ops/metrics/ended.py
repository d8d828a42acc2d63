"""The counts of processes that served nothing and have ended: one file per type of metric for all of them.

The names of its files end with its pid, or with the name that ``Store.identity`` made of it. Without this module, the
files would stay, and each scrape would read all of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from flask_ops.metrics import slots, store_files, store_reader

_OWNER = "ended"
_UNFINISHED = f"*_{_OWNER}-*.new"


def fold(directory: Path) -> None:
    """Add the counts of ended processes to the sums, and remove their files.

    While a scrape reads the files, do nothing: the next call does it. Raises OSError if the disk is full.
    """
    ended = [path for path in store_files.metrics_in(directory) if _has_ended(store_files.owner_of(path))]
    for path in [*directory.glob(_UNFINISHED), *ended]:
        with slots.locked(directory / store_files.FOLDING, shared=False) as is_mine:
            if is_mine:
                _add(path)


def _has_ended(owner: str) -> bool:
    try:
        os.kill(int(owner.partition("n")[0]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except (ValueError, PermissionError):  # a slot or the sums, or a process of another user
        return False
    return False


def _add(path: Path) -> None:
    for new in path.parent.glob(_UNFINISHED):
        _finish(new)
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

"""CPU time and memory of a process and its descendants, read from ``/proc``.

Source of the fields: proc(5), ``/proc/pid/stat`` and ``/proc/pid/smaps_rollup``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """Fields of ``/proc/pid/stat``: the parent, and CPU seconds that include reaped children."""

    parent: int
    cpu_seconds: float


def parse_stat(text: str) -> Stat:
    """Parse one ``stat``. The program name, in brackets, can have brackets and spaces itself."""
    fields = text.rpartition(")")[2].split()
    return Stat(int(fields[1]), sum(map(int, fields[11:15])) * _TICK_SECONDS)


def parse_pss(text: str) -> int:
    """Return the proportional set size from ``smaps_rollup``, in bytes. It divides shared pages among processes."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise ValueError("smaps_rollup has no line Pss")


def cpu_seconds(root: int) -> dict[int, float]:
    """Return the user and system CPU seconds of ``root`` and of each running descendant, by pid.

    A reaped child counts with its parent, so the sum is complete.
    """
    stats = _stats()
    return {pid: stats[pid].cpu_seconds for pid in _tree(root, stats)}


def descendants(root: int) -> list[int]:
    """Return the pids of the running descendants of ``root``."""
    return _tree(root, _stats())[1:]


def children(root: int) -> list[int]:
    """Return the pids of the running children of ``root``. For a server, these are the workers."""
    return [pid for pid, stat in _stats().items() if stat.parent == root]


def pss_bytes(pids: Iterable[int]) -> list[int]:
    """Return the proportional set size of each process."""
    return [parse_pss((PROC / str(pid) / "smaps_rollup").read_text()) for pid in pids]


def _stats() -> dict[int, Stat]:
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                found[int(entry.name)] = parse_stat((entry / "stat").read_text(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):  # the process has just ended
                continue
    return found


def _tree(root: int, stats: dict[int, Stat]) -> list[int]:
    family = [root] if root in stats else []
    for member in family:  # the loop also visits the entries that it adds
        family += [pid for pid, stat in stats.items() if stat.parent == member]
    return family

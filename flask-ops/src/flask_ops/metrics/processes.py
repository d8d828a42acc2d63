"""Resource use of the processes of one server, read from Linux's ``/proc`` at each call."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over the main process and its descendants, except as noted. None means unknown."""

    cpu_seconds: float | None  # of the main process, its children, and all that these reaped; never decreases
    resident_bytes: int
    virtual_bytes: int
    largest_worker_bytes: int  # resident memory of the largest worker; without workers, of the main process
    open_descriptors: int | None
    descriptor_limit: int | None
    descriptor_share: float | None  # open / limit, 0 to 1, of the process with the largest ratio
    threads: int
    started: float | None  # Unix time of the main process's start, in seconds
    workers: int  # living processes that serve


class _Process(NamedTuple):
    """One process as ``/proc/<pid>/stat`` describes it: proc_pid_stat(5)."""

    state: bytes
    parent: int
    used: int  # its own clock ticks
    waited: int  # clock ticks of the children that it reaped, and of those that they had reaped
    threads: int
    started: int  # clock ticks from boot
    virtual: int  # bytes
    resident: int  # pages


def figures(
    main: int, proc: Path = Path("/proc"), *, serving: Collection[int] | None = None, masters: Collection[int] = ()
) -> Figures | None:
    """Return the resource use of the process ``main`` and its descendants, None if ``/proc`` does not show it.

    ``serving`` has the pids of the workers; None means the children of ``main``. If one of ``masters`` started
    ``main`` as its replacement, both belong to one server.
    """
    try:
        while masters and (parent := _process(main, proc).parent) in masters:
            main = parent
        master, children, settled = _family(main, proc)
    except OSError:  # not Linux, or the process has ended
        return None
    ticks = sum(process.used + process.waited for process in [master, *children.values()])
    below = _living(children)
    everyone = {main: master, **below}
    while below:
        below = _living(_processes(_children(below, proc) - everyone.keys(), proc))
        everyone |= below
    if serving is None:
        serving = children.keys()
    workers = {pid: process for pid, process in everyone.items() if pid in serving}
    opened, limit, share = _descriptors(everyone, proc)
    booted = _boot_time(proc)
    hertz, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return Figures(
        cpu_seconds=ticks / hertz if settled else None,
        resident_bytes=page * sum(process.resident for process in everyone.values()),
        virtual_bytes=sum(process.virtual for process in everyone.values()),
        largest_worker_bytes=page * max(process.resident for process in workers.values() or [master]),
        open_descriptors=opened,
        descriptor_limit=limit,
        descriptor_share=share,
        threads=sum(process.threads for process in everyone.values()),
        started=None if booted is None else booted + master.started / hertz,
        workers=len(workers),
    )


def _family(main: int, proc: Path) -> tuple[_Process, dict[int, _Process], bool]:
    """Return a process, its children, and whether their ticks belong to one moment.

    A parent that reaps a child adds the child's time to its own, in nanoseconds. ``/proc`` rounds both down to ticks.
    So reaping never shrinks the sum of the shown ticks. While the parent's ticks stay the same, no tick has moved from
    a child. A child in state X may be reaped already, or not. If a child or a thread ends during the read, the list of
    children may lack another child. The next list then differs.

    A grandchild counts only after its parent has reaped it. If its parent ends first, it is never reaped here, and its
    time would disappear from the sum.
    """
    for _ in range(10):
        before = _process(main, proc)
        pids = _children([main], proc)
        children = _processes(pids, proc)
        after = _process(main, proc)
        reaping = any(child.state == b"X" for child in children.values())
        if before.waited == after.waited and not reaping and pids == _children([main], proc):
            return after, children, True
        time.sleep(0.001)  # the reaping process needs the CPU
    return after, children, False


def _children(parents: Collection[int], proc: Path) -> set[int]:
    """Return the children of these processes, zombies included."""
    if not any((proc / f"{parent}/task/{parent}/children").exists() for parent in parents):
        # The kernel lacks CONFIG_PROC_CHILDREN, or all parents have ended.
        everyone = _processes((int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()), proc)
        return {pid for pid, process in everyone.items() if process.parent in parents}
    found: set[int] = set()
    for parent in parents:
        with suppress(OSError):  # the process has ended
            for thread in (proc / f"{parent}/task").iterdir():
                with suppress(OSError):  # the thread has ended
                    found.update(map(int, (thread / "children").read_bytes().split()))
    return found


def _processes(pids: Iterable[int], proc: Path) -> dict[int, _Process]:
    found = {}
    for pid in pids:
        with suppress(OSError):  # ended meanwhile
            found[pid] = _process(pid, proc)
    return found


def _process(pid: int, proc: Path) -> _Process:
    fields = (proc / f"{pid}/stat").read_bytes().rpartition(b")")[2].split()  # a name may contain parentheses
    parent, *ticks, threads, started, virtual, resident = (int(fields[i]) for i in (1, 11, 12, 13, 14, 17, 19, 20, 21))
    return _Process(fields[0], parent, sum(ticks[:2]), sum(ticks[2:]), threads, started, virtual, resident)


def _living(processes: dict[int, _Process]) -> dict[int, _Process]:
    return {pid: process for pid, process in processes.items() if process.state not in {b"Z", b"X"}}


def _descriptors(pids: Iterable[int], proc: Path) -> tuple[int, int, float] | tuple[None, None, None]:
    """Return the open descriptors, their limit and the largest ratio; None for each if one process is unreadable."""
    opened, limit, share = 0, 0, 0.0
    for pid in pids:
        directory = proc / f"{pid}/fd"
        try:
            # Since Linux 6.2, the size is the count, for every user. Before, it is 0, and only the owner may list.
            mine = directory.stat().st_size or len(list(directory.iterdir()))
            limits = (proc / f"{pid}/limits").read_bytes()
            allowed = int(limits.partition(b"Max open files")[2].split(None, 1)[0])
        except PermissionError:
            return None, None, None
        except (OSError, IndexError):  # the process has ended; its limits may be empty
            continue
        opened, limit, share = opened + mine, limit + allowed, max(share, mine / max(allowed, 1))
    return opened, limit, share


def _boot_time(proc: Path) -> int | None:
    """Return the Unix time of the boot in seconds, by the current system clock."""
    try:
        return int((proc / "stat").read_bytes().partition(b"\nbtime ")[2].split(None, 1)[0])
    except OSError:  # mounted with subset=pid (systemd: ProcSubset=pid)
        return None

"""What the processes of one server use, read from Linux's ``/proc`` at the moment of the question."""

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
    """Sums over the main process and all below it, unless said otherwise. None is what cannot be told."""

    cpu_seconds: float | None  # of the main process, its children and all that they waited for; never decreases
    resident_bytes: int
    virtual_bytes: int
    largest_worker_bytes: int  # resident memory of the largest worker; of the main process where there is none
    open_descriptors: int | None
    descriptor_limit: int | None
    descriptor_share: float | None  # open by limit, 0 to 1, of the one process where that is largest
    threads: int
    started: float | None  # Unix time of the main process's start, in seconds
    workers: int  # living processes that serve


class _Process(NamedTuple):
    """One process as ``/proc/<pid>/stat`` describes it: proc_pid_stat(5)."""

    state: bytes
    parent: int
    used: int  # clock ticks of its own
    waited: int  # clock ticks of the children it has reaped, and of those that they had reaped
    threads: int
    started: int  # clock ticks from boot
    virtual: int  # bytes
    resident: int  # pages


def figures(
    main: int, proc: Path = Path("/proc"), *, serving: Collection[int] | None = None, masters: Collection[int] = ()
) -> Figures | None:
    """Return what the process ``main`` and all below it use; None where ``/proc`` does not show it.

    Which of them are workers is said by ``serving``; if it is None, the children of ``main`` are. Where one of
    ``masters`` has made ``main``, to be replaced by it, both are one server.
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

    Who reaps a child takes over its time to the nanosecond; only what is shown is rounded down to ticks. So
    reaping never shrinks the sum of what is shown, and as long as the parent shows the same, no tick that a
    child showed has moved. In state X a child may have been taken over or not. A list of children may lack
    one if another ends, or a thread does, while it is read; then the next list is a different one.
    What is further below counts once it is waited for, since that whose parent ends first never is.
    """
    for _ in range(10):
        before = _process(main, proc)
        pids = _children([main], proc)
        children = _processes(pids, proc)
        after = _process(main, proc)
        reaping = any(child.state == b"X" for child in children.values())
        if before.waited == after.waited and not reaping and pids == _children([main], proc):
            return after, children, True
        time.sleep(0.001)  # whoever is reaping needs the CPU
    return after, children, False


def _children(parents: Collection[int], proc: Path) -> set[int]:
    """Return the children of these processes, zombies included."""
    if not any((proc / f"{parent}/task/{parent}/children").exists() for parent in parents):
        # A kernel without CONFIG_PROC_CHILDREN, or all have ended.
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
    """Return the open descriptors, their limit and the largest share; None if those of one process are hidden."""
    opened, limit, share = 0, 0, 0.0
    for pid in pids:
        directory = proc / f"{pid}/fd"
        try:
            # From Linux 6.2 on the size tells everybody; before, it is 0 and the owner may list.
            mine = directory.stat().st_size or len(list(directory.iterdir()))
            limits = (proc / f"{pid}/limits").read_bytes()
            allowed = int(limits.partition(b"Max open files")[2].split(None, 1)[0])
        except PermissionError:
            return None, None, None
        except (OSError, IndexError):  # ended meanwhile, when the limits may read as nothing
            continue
        opened, limit, share = opened + mine, limit + allowed, max(share, mine / max(allowed, 1))
    return opened, limit, share


def _boot_time(proc: Path) -> int | None:
    """Return the Unix time of the boot in seconds, by the clock as it is set now."""
    try:
        return int((proc / "stat").read_bytes().partition(b"\nbtime ")[2].split(None, 1)[0])
    except OSError:  # mounted with subset=pid, which is systemd's ProcSubset
        return None

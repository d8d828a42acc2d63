"""Resource use of the processes of one server, read from Linux's ``/proc`` at each scrape.

The metrics have the names of prometheus_client's own collector, which sees one process only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric


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


class ProcessMetrics:
    """The metrics of the main process and all its descendants.

    Every scrape calls these functions:

    - ``main`` returns the pid of the master, or of the only process.
    - ``serving`` returns the pids of the workers. None means all children of ``main``.
    - ``masters`` returns the pids of the masters. If one of them started ``main`` as its replacement, both belong to
      one server.
    """

    def __init__(
        self,
        main: Callable[[], int],
        *,
        serving: Callable[[], Collection[int] | None] = lambda: None,
        masters: Callable[[], Collection[int]] = tuple,
        proc: Path = Path("/proc"),
    ) -> None:
        self._main, self._serving, self._masters, self._proc = main, serving, masters, proc
        self._cpu_seconds: dict[int, float] = {}

    def collect(self) -> Iterable[Metric]:
        """Yield a metric for each known value: none without ``/proc``, or if the main process has ended."""
        serving, masters, main = self._serving(), self._masters(), self._main()
        try:
            while masters and (parent := self._process(main).parent) in masters:
                main = parent
            everyone = self._settled_family(main)
        except OSError:
            return
        living = {pid: process for pid, process in everyone.items() if process.state not in {b"Z", b"X"}}
        children = {pid for pid, process in everyone.items() if process.parent == main}
        workers = living.keys() & (children if serving is None else {*serving})
        hertz, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        booted = int(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "User and system CPU time of the server's processes, those that have ended included.",
            self._growing(main, sum(everyone[pid].used + everyone[pid].waited for pid in [main, *children]) / hertz),
        )
        resident = page * sum(process.resident for process in living.values())
        virtual = sum(process.virtual for process in living.values())
        threads = sum(process.threads for process in living.values())
        started = booted + everyone[main].started / hertz
        largest = page * max(everyone[pid].resident for pid in workers or [main])
        text = "Memory resident in RAM; pages that processes share count in each."
        yield GaugeMetricFamily("process_resident_memory_bytes", text, resident)
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Address space of the server's processes.", virtual)
        yield GaugeMetricFamily("process_start_time_seconds", "Unix time at which the main process started.", started)
        yield GaugeMetricFamily("process_threads", "Threads of the server's processes.", threads)
        yield GaugeMetricFamily("service_workers", "Living worker processes.", len(workers))
        text = "Resident memory of the largest worker process."
        yield GaugeMetricFamily("service_worker_memory_max_bytes", text, largest)
        yield from self._descriptors(living)

    def _settled_family(self, main: int) -> dict[int, _Process]:
        """Return a process and its descendants, with ticks that belong to one moment, if 10 tries suffice.

        A parent that reaps a child adds the child's time to its own, in nanoseconds. ``/proc`` rounds both down to
        ticks. So reaping never shrinks the sum of the shown ticks. While the parent's ticks stay the same, no tick has
        moved from a child. A child in state X may be reaped already, or not.
        """
        for _ in range(10):
            before = self._process(main).waited
            everyone = self._family(main)
            children = {pid for pid, process in everyone.items() if process.parent == main}
            reaping = any(everyone[pid].state == b"X" for pid in children)
            if self._process(main).waited == before and not reaping and self._children([main]) == children:
                break
            time.sleep(0.001)  # the reaping process needs the CPU
        return everyone

    def _growing(self, main: int, seconds: float) -> float:
        """Return the largest value so far: if a counter decreases, Prometheus takes it for a restart.

        A grandchild counts only after its parent has reaped it. If its parent ends first, process 1 reaps it, and its
        time would disappear from the sum.
        """
        seconds = max(seconds, self._cpu_seconds.get(main, 0.0))
        self._cpu_seconds = {main: seconds}
        return seconds

    def _family(self, main: int) -> dict[int, _Process]:
        """Return a process and its descendants, parents before children."""
        found = {main: self._process(main)}
        parents = {main}
        while parents:
            children = self._processes(self._children(parents) - found.keys())
            found |= children
            parents = set(children)
        return found

    def _children(self, parents: Collection[int]) -> set[int]:
        """Return the children of these processes, zombies included."""
        if not any((self._proc / f"{parent}/task/{parent}/children").exists() for parent in parents):
            # The kernel lacks CONFIG_PROC_CHILDREN, or all parents have ended.
            pids = (int(entry.name) for entry in self._proc.iterdir() if entry.name.isdecimal())
            return {pid for pid, process in self._processes(pids).items() if process.parent in parents}
        found: set[int] = set()
        for parent in parents:
            with suppress(OSError):  # the process has ended
                for thread in (self._proc / f"{parent}/task").iterdir():
                    with suppress(OSError):  # the thread has ended
                        found.update(map(int, (thread / "children").read_bytes().split()))
        return found

    def _processes(self, pids: Iterable[int]) -> dict[int, _Process]:
        found = {}
        for pid in pids:
            with suppress(OSError):  # ended meanwhile
                found[pid] = self._process(pid)
        return found

    def _process(self, pid: int) -> _Process:
        line = (self._proc / f"{pid}/stat").read_bytes()
        fields = line.rpartition(b")")[2].split()  # a name may contain parentheses
        parent, *ticks, threads, started, virtual, resident = (
            int(fields[i]) for i in (1, 11, 12, 13, 14, 17, 19, 20, 21)
        )
        return _Process(fields[0], parent, sum(ticks[:2]), sum(ticks[2:]), threads, started, virtual, resident)

    def _descriptors(self, pids: Iterable[int]) -> Iterable[Metric]:
        """Yield the gauges of file descriptors; none if one process is unreadable."""
        opened, limit, share = 0, 0, 0.0
        for pid in pids:
            directory = self._proc / f"{pid}/fd"
            try:
                # Since Linux 6.2, the size is the count, for every user. Before, it is 0, and only the owner may list.
                mine = directory.stat().st_size or len(list(directory.iterdir()))
                limits = (self._proc / f"{pid}/limits").read_bytes()
                allowed = int(limits.partition(b"Max open files")[2].split(None, 1)[0])
            except PermissionError:
                return
            except (OSError, IndexError):  # the process has ended; its limits may be empty
                continue
            opened, limit, share = opened + mine, limit + allowed, max(share, mine / max(allowed, 1))
        yield GaugeMetricFamily("process_open_fds", "Open file descriptors of the server's processes.", opened)
        yield GaugeMetricFamily("process_max_fds", "Open file descriptors allowed, summed over the processes.", limit)
        text = "Open file descriptors by limit, where that is largest."
        yield GaugeMetricFamily("service_process_open_fds_max_ratio", text, share)

"""The cgroups above this process, and the CPUs that they leave it. In a container, the machine often has more."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def levels(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yield the folder of each cgroup that limits this process by ``controller``, the innermost first.

    Each level of a hierarchy limits the levels below it. A system can have cgroups of version 1 and of version 2, so
    both are included. ``root`` replaces ``/`` in tests. Source: docs.kernel.org, admin-guide/cgroup-v2 and
    admin-guide/cgroup-v1.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = PurePosixPath(path.lstrip("/"))
        for level in [group, *group.parents]:
            yield mount / level


def usable_cpus(root: Path = Path("/")) -> int:
    """Return the number of CPUs by affinity and cgroup quota, at least 1. Without it, a container has too many workers.

    A quota of 1.5 CPUs counts as 2, because rounding down would leave half a CPU idle. ``root`` replaces ``/`` in
    tests.
    """
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min([granted or 1, *(_quota(group) for group in levels("cpu", root))])))


def _quota(group: Path) -> float:
    """Return the quota of one cgroup in CPUs, infinity if it has none that can be read.

    Source: docs.kernel.org, admin-guide/cgroup-v2 (``cpu.max``) and scheduler/sched-bwc (version 1).
    """
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return math.inf if quota in {"max", "-1"} else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf

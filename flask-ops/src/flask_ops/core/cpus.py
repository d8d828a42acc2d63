"""The number of CPUs that this process may use. In a container, the machine often has more."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from flask_ops.core import cgroup


def usable_cpus(root: Path = Path("/")) -> int:
    """Return the number of CPUs by affinity and cgroup quota, at least 1.

    A quota of 1.5 CPUs counts as 2, because rounding down would leave half a CPU idle. ``root`` replaces ``/`` in
    tests.
    """
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min([granted or 1, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quota of each cgroup above this process, in CPUs.

    Each level limits the levels below it, so the smallest quota counts. Source: docs.kernel.org,
    admin-guide/cgroup-v2 (``cpu.max``) and scheduler/sched-bwc (``cpu.cfs_quota_us``, version 1).
    """
    for group in cgroup.levels("cpu", root):
        quota = _read_quota(group)
        if quota is not None:
            yield quota


def _read_quota(group: Path) -> float | None:
    """Return the quota of one cgroup in CPUs; None if it has none."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        if quota in {"max", "-1"}:
            return None
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None

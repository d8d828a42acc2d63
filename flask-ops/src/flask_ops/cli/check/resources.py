"""Checks of the limits of the machine or the container: memory, CPUs, open files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.core import cgroup
from flask_ops.core.cgroup import usable_cpus

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment] # a module elsewhere

_MIB = 2**20
_SHARE = 0.75
"""Usable share of the limit. The rest is for requests in flight and the kernel's buffers."""
_WORKER = 10 * _MIB
"""Memory of a worker besides its imports: its threads, and its copies of shared pages that it writes to. Measured with
six more workers: 11 MiB each under Gunicorn, 13 after 30,000 requests; 6 under uWSGI, then 18."""
_OWN_DESCRIPTORS = 32
"""An idle Gunicorn worker had 24 of them open."""
_DESCRIPTORS_A_THREAD = 4
"""For files and sockets that a request opens."""


def look(deployment: Deployment, root: Path = Path("/")) -> Iterator[Finding]:
    """Yield findings about the resources; ``root`` stands for ``/`` in tests."""
    yield _memory(deployment, root)
    if deployment.server != "waitress":
        yield _cpus(deployment)
    yield from _descriptors(deployment)


def _memory(deployment: Deployment, root: Path) -> Finding:
    """Compare the limit with the need of all processes, which share the memory from before the workers' fork.

    Measured in cgroups without swap, under 64 connections, with 27 MiB loaded. Two workers need 48 MiB by this
    estimate: the kernel killed processes with a limit of 47, 50 and 55 MiB, and none with 60 and 70. Eight need 109:
    killed with 115, 120 and 130, none with 150. Sixteen need 191, and had a peak of 228. Eight workers of uWSGI need
    107: killed with 90 and 105.
    """
    limit, where = _limit(root)
    trial = deployment.trial
    if trial is None or trial.loaded_bytes is None or limit is None:
        return note("memory", "The need of the processes or the limit is unknown here.")
    first = trial.master_bytes or trial.loaded_bytes
    more = max(0, trial.loaded_bytes - first) + _WORKER
    workers = 0 if deployment.server == "waitress" else deployment.workers
    need = first + workers * more
    each = f" ({first / _MIB:.0f}, and {more / _MIB:.0f} more for each of {workers} workers)" if workers else ""
    text = f"The service needs {need / _MIB:.0f} MiB{each}; {where} has {limit / _MIB:.0f} MiB"
    fitting = max(1, int((_SHARE * limit - first) / more))
    cure = f"WEB_CONCURRENCY={fitting}, or more memory." if fitting < workers else "More memory."
    if need > limit:
        return error("memory", f"{text}: the kernel would kill processes, or swap.", cure)
    if need > _SHARE * limit:
        return warning("memory", f"{text}: too little is left for requests.", cure)
    return ok("memory", f"{text}.")


def _limit(root: Path) -> tuple[int | None, str]:
    """Return the smallest limit in bytes, and its owner."""
    limits = [(size, "the cgroup") for size in map(_group_limit, cgroup.levels("memory", root)) if size is not None]
    try:
        total = (root / "proc/meminfo").read_bytes().partition(b"MemTotal:")[2].split(None, 1)[0]
        limits.append((int(total) * 1024, "the machine"))
    except (OSError, IndexError, ValueError):  # not Linux
        pass
    return min(limits, default=(None, ""))


def _group_limit(group: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((group / name).read_text())
        except (OSError, ValueError):  # the file of the other cgroup version, or `max`
            continue
    return None


def _cpus(deployment: Deployment) -> Finding:
    cpus, workers = usable_cpus(), deployment.workers
    if workers > max(cpus, 2):
        return warning(
            "cpus",
            f"{workers} workers share {cpus} {'CPU' if cpus == 1 else 'CPUs'}: this costs memory and gains no speed.",
            f"WEB_CONCURRENCY={max(cpus, 2)}, with more SERVICE_THREADS if views wait; or leave it unset.",
        )
    return ok("cpus", f"{workers} workers on {cpus} {'CPU' if cpus == 1 else 'CPUs'}.")


def _descriptors(deployment: Deployment) -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = deployment.connections + _DESCRIPTORS_A_THREAD * deployment.threads + _OWN_DESCRIPTORS
    text = f"A worker opens up to {need} files: {deployment.connections} connections, {deployment.threads} threads"
    if soft != resource.RLIM_INFINITY and need > soft:
        yield error(
            "descriptors",
            f"{text}; the limit of a process is {soft}.",
            f"ulimit -n {need} or more, LimitNOFILE= in a systemd unit, --ulimit nofile= in Docker"
            + (f"; the hard limit is {hard}." if hard != resource.RLIM_INFINITY else "."),
        )
    else:
        yield ok("descriptors", f"{text}; the limit of a process is {'none' if soft < 0 else soft}.")

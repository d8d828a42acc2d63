"""What the machine or the container grants: memory, CPUs, open files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from service import cgroup
from service.check.deployment import Deployment
from service.cpus import usable_cpus
from service.findings import Finding, error, note, ok, warning

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment] # a module elsewhere

_MIB = 2**20
_SHARE = 0.75
"""Of the limit; the rest is for what requests hold, and for the kernel's buffers."""
_OWN_DESCRIPTORS = 32
"""A worker that serves nobody has 24 of them open, measured with Gunicorn."""
_DESCRIPTORS_A_THREAD = 4
"""For what a request opens itself."""


def look(deployment: Deployment, root: Path = Path("/")) -> Iterator[Finding]:
    """Yield what is found about the resources; ``root`` stands for ``/`` in tests."""
    yield _memory(deployment, root)
    if deployment.server != "waitress":
        yield _cpus(deployment)
    yield from _descriptors(deployment)


def _memory(deployment: Deployment, root: Path) -> Finding:
    """Compare the limit with what all processes need where each has loaded the application.

    Measured in cgroups without swap, with two workers and 27 MiB loaded, which need 80 MiB by this reckoning: with a
    limit of 45, 50, 55, 60 and 70 MiB the kernel killed a process after 168 requests at the latest; with 80 it killed
    none in 3,594 requests, and the peak was 73 MiB.
    """
    limit, where = _limit(root)
    loaded = deployment.trial.loaded_bytes if deployment.trial else None
    if loaded is None or limit is None:
        return note("memory", "What the processes need cannot be compared with what is granted here.")
    need = deployment.processes * loaded
    processes = "one process" if deployment.processes == 1 else f"{deployment.workers} workers and their master"
    text = (
        f"{processes} need {need / _MIB:.0f} MiB before the first request ({loaded / _MIB:.0f} MiB each); "
        f"{where} has {limit / _MIB:.0f} MiB"
    )
    fitting = max(1, int(_SHARE * limit / loaded) - deployment.processes + deployment.workers)
    cure = f"WEB_CONCURRENCY={fitting}, or more memory." if fitting < deployment.workers else "More memory."
    if need > limit:
        return error("memory", f"{text}: the kernel would kill them.", cure)
    if need > _SHARE * limit:
        return warning("memory", f"{text}: little is left for the requests.", cure)
    return ok("memory", f"{text}.")


def _limit(root: Path) -> tuple[int | None, str]:
    """Return the smallest limit in bytes, and whose it is."""
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
        except (OSError, ValueError):  # another version's file, or `max`
            continue
    return None


def _cpus(deployment: Deployment) -> Finding:
    cpus, workers = usable_cpus(), deployment.workers
    if workers > max(cpus, 2):
        return warning(
            "cpus",
            f"{workers} workers share {cpus} {'CPU' if cpus == 1 else 'CPUs'}: they take memory, and gain no speed.",
            f"WEB_CONCURRENCY={max(cpus, 2)}, with more SERVICE_THREADS where views wait; or leave it unset.",
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

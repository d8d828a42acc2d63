"""Checks of the limits of the machine or the container: memory, CPUs, and the metrics store."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.core import cgroup, multiprocess
from flask_ops.core.cgroup import usable_cpus
from flask_ops.metrics import store_files

_MIB = 2**20
_SHARE = 0.75
"""Usable share of the memory limit. The rest is for requests in flight and the kernel's buffers."""
_WORKER = 10 * _MIB
"""Memory of a worker besides its imports: its threads, and its copies of shared pages that it writes to. Measured with
six more workers: 11 MiB each under Gunicorn, 13 after 30,000 requests; 6 under uWSGI, then 18."""
_STORE_BYTES_A_PROCESS = _MIB
"""A worker of a small service wrote 60 KiB for 4,000 requests. 300 combinations of method, route and status take
1 MiB."""
_STORE_CURE = "Set TMPDIR=/dev/shm, or mount a tmpfs there."


def look(deployment: Deployment, root: Path = Path("/")) -> Iterator[Finding]:
    """Yield findings about the resources; ``root`` stands for ``/`` in tests."""
    chosen = deployment.environ.get(multiprocess.VARIABLE, "").strip()
    if deployment.server != "waitress" or chosen:  # a single process keeps its metrics in memory
        yield from _store(deployment, chosen)
    yield _memory(deployment, root)
    if deployment.server != "waitress":
        yield _cpus(deployment.limits.workers)


def _memory(deployment: Deployment, root: Path) -> Finding:
    """Compare the limit with the need of all processes, which share the memory from before the workers' fork.

    The estimate is a lower bound. Measured in cgroups without swap, under 64 connections: two workers need 48 MiB by
    it, and the kernel killed processes up to a limit of 55. Eight need 109, killed up to 130.
    """
    shared, added = deployment.trial.shared_bytes, deployment.trial.worker_bytes
    if shared is None or added is None:
        return note("memory", "The need of the processes is unknown here.")
    limits = [(size, "the cgroup") for size in map(_memory_limit, cgroup.levels("memory", root)) if size is not None]
    limit, where = min([*limits, (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "the machine")])
    more = added + _WORKER
    workers = 0 if deployment.server == "waitress" else deployment.limits.workers
    need = shared + workers * more
    each = f" ({shared / _MIB:.0f}, and {more / _MIB:.0f} more for each of {workers} workers)" if workers else ""
    text = f"The service needs {need / _MIB:.0f} MiB{each}; {where} has {limit / _MIB:.0f} MiB"
    fitting = max(1, int((_SHARE * limit - shared) / more))
    cure = f"WEB_CONCURRENCY={fitting}, or more memory." if fitting < workers else "More memory."
    if need > limit:
        return error("memory", f"{text}: the kernel would kill processes, or swap.", cure)
    if need > _SHARE * limit:
        return warning("memory", f"{text}: too little is left for requests.", cure)
    return ok("memory", f"{text}.")


def _memory_limit(group: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # the file of the other cgroup version, or `max`
            return int((group / name).read_text())
    return None


def _cpus(workers: int) -> Finding:
    cpus = usable_cpus()
    shown = f"{cpus} {'CPU' if cpus == 1 else 'CPUs'}"
    if workers > max(cpus, 2):
        text = f"{workers} workers share {shown}: this costs memory and gains no speed."
        cure = f"WEB_CONCURRENCY={max(cpus, 2)}, with more SERVICE_THREADS if views wait; or leave it unset."
        return warning("cpus", text, cure)
    return ok("cpus", f"{workers} workers on {shown}.")


def _store(deployment: Deployment, chosen: str) -> Iterator[Finding]:
    processes = deployment.limits.workers + (deployment.server != "waitress")  # the others have a master
    need = processes * _STORE_BYTES_A_PROCESS
    try:
        wanted = Path(chosen or tempfile.gettempdir()).absolute()
        folder = next(place for place in [wanted, *wanted.parents] if place.exists())
        multiprocess.reserve(folder, need)
    except OSError as fault:  # also if no folder for temporary files is writable
        text = f"The metrics store needs {need // _MIB} MiB, which cannot be written in {fault.filename or 'TMPDIR'}: "
        yield error("store", f"{text}{fault.strerror}.", _STORE_CURE)
        return
    doomed = {path.name for path in wanted.glob("*") if chosen and store_files.is_ours(path)}
    if doomed and not (wanted / store_files.LOCK).exists():  # each store has a lock
        text = f"{multiprocess.VARIABLE} is {wanted}: {min(doomed)} of another program would be removed."
        yield warning("store", text, "Use a separate folder.")
    kind = file_system(folder)
    if kind is None:
        yield note("store", f"{folder} has room; its file system is unknown.")
    elif kind in {"tmpfs", "ramfs", "devtmpfs"}:
        yield ok("store", f"{folder} is in memory ({kind}) and has room for {need // _MIB} MiB.")
    else:
        text = f"{folder} is on {kind}, not in memory: each request writes there, and the kernel writes it to disk."
        yield warning("store", text, _STORE_CURE)


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """Return the file system type of ``path`` (proc_pid_mounts(5)); None if not on Linux."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    # A later mount covers an earlier one. The kernel writes a blank as \\040.
    types = {mount.replace("\\040", " "): kind for _, mount, kind, *_ in map(str.split, lines)}
    real = path.resolve()
    return next((types[str(place)] for place in [real, *real.parents] if str(place) in types), None)

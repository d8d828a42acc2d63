"""Checks of the folders for the metrics store and the heartbeat files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.core import multiprocess
from flask_ops.metrics import store_layout

_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_BYTES_A_PROCESS = 2**20
"""A worker of a small service wrote 60 KiB for 4,000 requests. 300 combinations of method, route and status take
1 MiB."""
_OURS = "lock"
"""A file that each store has."""
_CURE = "Set TMPDIR=/dev/shm, or mount a tmpfs there or at PROMETHEUS_MULTIPROC_DIR."


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield findings about both folders. A single process keeps its metrics in memory."""
    chosen = deployment.environ.get(multiprocess.VARIABLE, "").strip()
    if deployment.server != "waitress" or chosen:
        yield from _store(deployment, Path(chosen) if chosen else None)
    heartbeat = deployment.gunicorn.heartbeat_directory if deployment.gunicorn else None
    if heartbeat is not None and not os.access(heartbeat, os.W_OK | os.X_OK):
        yield error(
            "heartbeat",
            f"No worker could start: this user cannot write to worker_tmp_dir, {heartbeat}.",
            "Mount a tmpfs there, or set worker_tmp_dir in gunicorn.conf.py.",
        )


def _store(deployment: Deployment, chosen: Path | None) -> Iterator[Finding]:
    if chosen is None:
        try:
            folder = Path(tempfile.gettempdir())
        except FileNotFoundError:  # gettempdir() tries to write, so all folders may be full
            yield error("store", "The metrics store needs a writable folder for temporary files. There is none.", _CURE)
            return
    else:
        folder = chosen
        yield from _foreign_files(chosen)
    folder = next(place for place in [folder.absolute(), *folder.absolute().parents] if place.exists())
    need = deployment.processes * _BYTES_A_PROCESS
    try:
        multiprocess.reserve(folder, need)
    except OSError as fault:
        if fault.errno in {errno.ENOSPC, errno.EDQUOT}:
            text = f"{folder} has less than {need // 2**20} MiB left: SIGBUS would kill a worker that records metrics."
        else:
            text = f"The metrics store cannot be written in {folder}: {fault.strerror}."
        yield error("store", text, _CURE)
        return
    kind = file_system(folder)
    if kind is None:
        yield note("store", f"{folder} has room; its file system is unknown.")
    elif kind in _IN_MEMORY:
        yield ok("store", f"{folder} is in memory ({kind}) and has room for {need // 2**20} MiB.")
    else:
        yield warning(
            "store",
            f"{folder} is on {kind}, not in memory: each request writes there, and the kernel writes it to disk.",
            _CURE,
        )


def _foreign_files(folder: Path) -> Iterator[Finding]:
    doomed = {path.name for path in folder.glob("*") if store_layout.is_ours(path)}
    if doomed and not (folder / _OURS).exists():
        yield warning(
            "store",
            f"{multiprocess.VARIABLE} is {folder}: {min(doomed)} of another program would be removed.",
            "Use a separate folder.",
        )


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the file system type of ``path`` (proc_pid_mountinfo(5)); None if not on Linux."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    types = {}
    for line in lines:
        mount, _, source = line.partition(" - ")
        # A later mount covers an earlier one. The kernel writes a blank as \\040.
        types[mount.split()[4].replace("\\040", " ")] = source.split()[0]
    real = path.resolve()
    return next((types[str(place)] for place in [real, *real.parents] if str(place) in types), None)

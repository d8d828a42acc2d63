"""The cgroups above this process, which limit its resources."""

from __future__ import annotations

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

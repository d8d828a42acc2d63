"""A command under a systemd unit's system call filter: ``python -m tests.repository.deploy.syscall_filter UNIT``."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.programs import require

_REFUSE = 0x00050000 | errno.EPERM  # SCMP_ACT_ERRNO, which SystemCallErrorNumber=EPERM selects
_ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW


def allowed(filters: Iterable[str]) -> set[str]:
    """Return the calls that the values of ``SystemCallFilter=`` allow, in this order; the first has no ``~``."""
    text = subprocess.run(
        [require("systemd-analyze"), "--no-pager", "syscall-filter"], capture_output=True, text=True, check=True
    ).stdout
    groups: dict[str, list[str]] = {}
    members: list[str] = []
    for line in text.splitlines():
        word = line.strip()
        if line.startswith("@"):
            members = groups[word] = []
        elif line.startswith(" ") and not word.startswith("#"):
            members.append(word)

    def expand(name: str) -> set[str]:
        return set().union(*map(expand, groups[name])) if name in groups else {name}

    names = expand("@default")
    for value in filters:
        named = set().union(*map(expand, value.removeprefix("~").split()))
        names = names - named if value.startswith("~") else names | named
    return names


def confine(names: Iterable[str]) -> None:
    """Make all other system calls fail from now on, in this process and in the programs that it executes."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_REFUSE))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # otherwise, this machine has no call with this name
            assert 0 == library.seccomp_rule_add(context, ctypes.c_uint(_ALLOW), number, 0), name
    assert 0 == library.seccomp_load(context)


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text().splitlines()
    confine(allowed(line.partition("=")[2] for line in lines if line.startswith("SystemCallFilter=")))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a command of the tests, as they give it

"""Images of Python and nginx, made from files of this machine, for tests without an image registry."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tests.process import BIN, REPOSITORY
from tests.programs import require

CHANGES = ("ENV PATH=/usr/local/bin:/bin", "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels")
"""Options for ``docker import --change``. The image holds the service's dependencies, so its build needs no network."""
_LEFT_OUT = ("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "site-packages", "config-*")


def make_python(root: Path) -> None:
    """Fill ``root`` like the official image: Python in /usr/local, without compiled modules, and a shell.

    It also holds the wheels of requirements.txt.
    """
    library = Path(sysconfig.get_path("stdlib"))
    copied = root / "usr/local/lib" / library.name
    shutil.copytree(library, copied, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    packages = copied / "site-packages"
    shutil.copytree(_installed("pip"), packages / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    binaries = root / "usr/local/bin"
    binaries.mkdir()
    shutil.copy(Path(sys.executable).resolve(), binaries / library.name)
    for name in ("python3", "python"):
        (binaries / name).symlink_to(library.name)
    (root / "bin").mkdir()
    shutil.copy("/bin/sh", root / "bin/sh")
    linked = [
        Path(sys.executable),
        Path("/bin/sh"),
        *library.glob("lib-dynload/*.so"),
        *_installed("orjson").glob("*.so"),
    ]
    _copy_libraries(linked, root)
    for name in ("etc", "tmp"):
        (root / name).mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "tmp").chmod(0o1777)
    locks = [REPOSITORY / "requirements.txt", REPOSITORY / "flask-ops" / "requirements-build.txt"]
    options = ["--only-binary=:all:", "--require-hashes", f"--dest={root / 'wheels'}"]
    options += [f"--requirement={lock}" for lock in locks]
    command = [str(BIN / "python"), "-m", "pip", "download", "--quiet", *options]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


def make_nginx(root: Path) -> None:
    """Fill ``root`` with the parts of the official image of nginx that compose.yaml needs.

    Debian's nginx has its temporary files in another folder, and logs to files. The official image logs to its output.
    """
    nginx = require("nginx")
    (root / "usr/sbin").mkdir(parents=True)
    shutil.copy(nginx, root / "usr/sbin/nginx")
    _copy_libraries([nginx], root)
    for name in ("etc", "run", "var/cache/nginx", "var/lib", "var/log/nginx"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/nginx").symlink_to("/var/cache/nginx")
    for name, target in (("access", "stdout"), ("error", "stderr")):
        (root / f"var/log/nginx/{name}.log").symlink_to(f"/dev/{target}")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\n")


def _installed(package: str) -> Path:
    return Path(sysconfig.get_path("purelib")) / package


def _copy_libraries(programs: Iterable[Path], root: Path) -> None:
    """Copy the shared libraries of ``programs`` into one folder, beside the C library."""
    told = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    found = {Path(path) for path in re.findall(r"=> (/\S+)", told)}
    beside = next(path.parent for path in found if path.name.startswith("libc.so"))
    found.add(beside / "libgcc_s.so.1")  # pthread_exit loads it by name
    for path in found:
        _copy(path, root / (beside / path.name).relative_to("/"))
    for loader in set(re.findall(r"^\s*(/\S+/ld-\S+) \(", told, re.MULTILINE)):
        _copy(Path(loader), root / Path(loader).relative_to("/"))


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)

"""``make detach``: replace the library's sources in this clone with one archive, pinned by its hash.

It needs only the standard library, and no git. It needs a network only to compute the hash of a released archive. It
removes itself at the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import blocks
from archive import Archive, RefusedError, from_url, from_wheel

ROOT = Path(__file__).resolve().parent.parent
OWN = ("detach.py", "blocks.py", "archive.py", "detached")
LOCK = "requirements-library.txt"

DOCKERFILE = """\
# The library, {what}.
COPY requirements-library.txt ./
{vendor}RUN PYTHONDONTWRITEBYTECODE=1 python -m pip --python /opt/venv/bin/python install \\
        --require-hashes{binary} --no-deps --no-compile --requirement requirements-library.txt
"""


def replacements(archive: Archive) -> dict[str, str]:
    """Return the replacement of the first block of each file, by the file's name."""
    dockerfile = DOCKERFILE.format(
        what="as a wheel" if archive.vendored else "from where it is released",
        vendor="COPY vendor vendor\n" if archive.vendored else "",
        binary=" --only-binary :all:" if archive.wheel else "",
    )
    return {
        "pyproject.toml": f"flask-ops = {archive.source}\n",
        "Dockerfile": dockerfile,
        ".dockerignore": f"!{LOCK}\n" + ("!vendor\n" if archive.vendored else ""),
    }


def detach(root: Path, archive: Archive, wheel: Path | None) -> None:
    """Change the clone at ``root``. Raises RefusedError only before the first change."""
    wanted = replacements(archive)
    own = [root / "template" / name for name in OWN]
    changed = {}
    for file, text in blocks.texts(root):
        name = file.relative_to(root).as_posix()
        new = blocks.replace(text, wanted.get(name, ""), name)
        if new is not None:
            changed[file] = new
    if root / "pyproject.toml" not in changed:
        raise RefusedError("pyproject.toml has no block from `# library: begin` to `# library: end` for the source.")

    if wheel is not None:
        (root / "vendor").mkdir(exist_ok=True)
        shutil.copyfile(wheel, root / "vendor" / wheel.name)
        print(f"Put {wheel.name} into vendor/.")
    (root / LOCK).write_text(archive.lock(), encoding="utf-8")
    print(f"Pinned it in {LOCK}: sha256:{archive.sha256}")
    targets = root / "template" / "detached" / ("wheel.mk" if archive.vendored else "release.mk")
    shutil.copyfile(targets, root / "template" / "library.mk")
    for file, text in changed.items():
        file.write_bytes(text.encode())
        print(f"Adapted {file.relative_to(root)}.")
    for name in wanted:
        if (root / name).exists() and root / name not in changed:
            print(f"Could not adapt {name}: it has no marked block. Add the following to it.\n{wanted[name]}")
    for name in blocks.GONE:
        if (root / name).exists():
            shutil.rmtree(root / name)
            print(f"Removed {name}/.")
    for path in own:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Run the command line, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--wheel", type=Path, help="a wheel of the library, which goes to vendor/")
    source.add_argument("--url", help="the https address of an archive that is released elsewhere")
    parser.add_argument("--hash", help="the hash of that archive, sha256:HEX, instead of a download")
    options = parser.parse_args()
    try:
        if not (ROOT / "flask-ops").is_dir():
            raise RefusedError("This clone is detached already: it has no folder flask-ops/.")
        archive = from_url(options.url, options.hash) if options.url else from_wheel(options.wheel)
        detach(ROOT, archive, options.wheel)
    except RefusedError as refused:
        print(f"make detach: {refused}", file=sys.stderr)
        return 1
    if left := blocks.mentions(ROOT):
        print("These lines still mention removed files:", *left, sep="\n  ")
    print("Next: `make test`, then commit. How to upgrade the library: docs/upgrading.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

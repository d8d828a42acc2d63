"""The command ``python -m flask_ops observability``."""

from __future__ import annotations

import argparse
import sys

from flask_ops import observability


def run(options: argparse.Namespace) -> int:
    """Write the files and print their paths. Return 1 if they cannot be written."""
    try:
        written = observability.write(options.folder, force=options.force)
    except observability.DifferentFilesError as error:
        names = "".join(f"  {path}\n" for path in error.paths)
        return _fail(
            f"these files differ from this version:\n{names}"
            "Nothing was written. Choose another folder, or add --force to replace them."
        )
    except OSError as error:
        return _fail(f"cannot write {error.filename or options.folder}: {error.strerror or error}")
    sys.stdout.writelines(f"wrote {path}\n" for path in written)
    if not written:
        sys.stdout.write(f"{options.folder} has all files of this version already\n")
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1

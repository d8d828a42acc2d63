"""The command ``python -m flask_ops observability``."""

from __future__ import annotations

import argparse
import sys

from flask_ops import observability


def run(options: argparse.Namespace) -> int:
    """Write the files and print their paths. Return 1 if they cannot be written, 2 for an invalid job."""
    try:
        written = observability.write(options.folder, job=options.job, force=options.force)
    except observability.InvalidJobError as error:
        return _fail(f"--job: {error}", 2)
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


def _fail(message: str, code: int = 1) -> int:
    sys.stderr.write(f"{message}\n")
    return code

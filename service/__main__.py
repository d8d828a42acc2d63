"""``python -m service``: serves; or, before and after a deployment, sees to it that another one serves well."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from service import command_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, which without any is to serve until told to stop; return the exit code."""
    parser = command_line.parser()
    options = parser.parse_args(arguments)
    # Each is imported where it is called: `check` is there to say that the application cannot be imported.
    if options.command == "check":
        from service.check import command as check  # noqa: PLC0415 - the other commands do without it

        return check.run(options)
    if options.command == "verify":
        from service.verify import command as verify  # noqa: PLC0415 - the other commands do without it

        return verify.run(options, parser)
    from service import serving  # noqa: PLC0415 - the other commands do without it

    return serving.run()


if __name__ == "__main__":
    sys.exit(main())

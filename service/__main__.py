"""``python -m service``: the development server in development, Waitress in production."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from service import serving
from service.settings import documentation


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code."""
    _parser().parse_args(arguments)
    return serving.run()


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation()]
    return argparse.ArgumentParser(
        prog="python -m service",
        description="Serve: with the development server where SERVICE_ENV is development (the default here), "
        "else with Waitress. Settings are environment variables:",
        epilog="\n".join(lines).replace("`", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the tests' project, run in this process."""

from __future__ import annotations

from collections.abc import Sequence

import flask_ops
from service.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Run ``python -m service`` with these arguments."""
    return flask_ops.main(
        arguments, prog="python -m service", settings=Settings, application="service.app:create_app()"
    )

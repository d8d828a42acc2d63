"""The command line of ``python -m flask_ops`` and of a service."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flask_ops.cli import arguments as command_line
from flask_ops.core.first_steps import expect_interruption, open_standard_streams
from flask_ops.core.loading import from_here, load_settings
from flask_ops.core.settings import Mode, Settings


def main(
    arguments: Sequence[str] | None = None,
    *,
    prog: str = "python -m flask_ops",
    settings: type[Settings] = Settings,
    application: str | None = None,
) -> int:
    """Run the command of the arguments and return the exit code.

    A service passes its ``settings`` and its ``application``, ``module:name`` or ``module:factory()``. Without
    arguments, the development server or Waitress then serves it.
    """
    open_standard_streams()
    parser = command_line.parser(prog, settings, application)
    options = parser.parse_args(arguments)
    if getattr(options, "settings", None):
        settings = _load_settings(options.settings, parser)
    # Import a command only when it runs: `check` must also work if the application cannot be imported.
    if options.command == "check":
        from flask_ops.cli.check import command as check  # noqa: PLC0415 - the other commands do not need it

        return check.run(options, settings, application or options.application)
    if options.command == "verify":
        from flask_ops.cli.verify import command as verify  # noqa: PLC0415 - the other commands do not need it

        return verify.run(options, parser)
    if options.command == "healthcheck":
        from flask_ops.cli import healthcheck  # noqa: PLC0415 - the other commands do not need it

        return healthcheck.run()
    if options.command == "observability":
        from flask_ops.cli import observability  # noqa: PLC0415 - the other commands do not need it

        return observability.run(options)
    expect_interruption()
    from flask_ops.cli import serving  # noqa: PLC0415 - the other commands do not need it

    if application is None:
        return serving.run(options.application, settings, default_mode=Mode.PRODUCTION)
    return serving.run(application, settings, default_mode=Mode.DEVELOPMENT)


def _load_settings(target: str, parser: argparse.ArgumentParser) -> type[Settings]:
    from_here()
    try:
        return load_settings(target)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        parser.error(f"argument --settings: {error}")

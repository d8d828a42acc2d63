"""The arguments of ``python -m service``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from service.settings import documentation
from service.variables import Parse, seconds

SERVERS = ("gunicorn", "waitress", "uwsgi")


def parser() -> argparse.ArgumentParser:
    """Return the parser; ``command`` is None where it is to serve."""
    settings = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation()]
    main = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve: with the development server where SERVICE_ENV is development (the default here), "
        "else with Waitress. Or, with a command, see to it that another one serves well.",
        epilog="settings, which are environment variables:\n" + "\n".join(settings).replace("`", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_check(commands)
    return main


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "before a deployment: say what in this environment is unsafe or will not work, and the cure"
    check = commands.add_parser(
        "check",
        help=text,
        description=f"{text[0].upper()}{text[1:]}. Starts nothing that stays. Exit code 1 where there is an error.",
    )
    check.add_argument(
        "--server", choices=SERVERS, help="which one will serve (default: gunicorn, where it is installed)"
    )
    check.add_argument(
        "--grace",
        type=_argument(seconds(0, 86400)),
        metavar="SECONDS",
        help="how long the supervisor waits between SIGTERM and SIGKILL",
    )
    check.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _argument(parse: Parse) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return read

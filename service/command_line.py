"""The arguments of ``python -m service``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from service.settings import documentation
from service.variables import Parse, integer, seconds, text

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
    _add_verify(commands)
    return main


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "before a deployment: say what in this environment is unsafe or will not work, and the cure"
    check = commands.add_parser(
        "check",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Starts nothing that stays. Exit code 1 where there is an error.",
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


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "after a deployment: ask a service that runs whether all is as it should be"
    verify = commands.add_parser(
        "verify",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Changes nothing in it. Exit code 1 where there is an error.",
    )
    verify.add_argument("url", metavar="URL", help="where its clients reach it, http or https")
    verify.add_argument(
        "--path",
        type=_argument(text(r"/[!-~]*", "a path that begins with /")),
        default="/",
        help="what it answers with 200 to everybody, where that is not / (default: %(default)s)",
    )
    verify.add_argument(
        "--management",
        action="append",
        default=[],
        metavar="URL",
        help="its management address; once for each instance, where URL is a load balancer",
    )
    verify.add_argument(
        "--public",
        action="store_true",
        help="URL is what the world sees: /metrics that answer there are an error, and plain http is a warning",
    )
    verify.add_argument(
        "--wait",
        type=_argument(seconds(0, 3600)),
        default=0.0,
        metavar="SECONDS",
        help="how long to wait, before anything else, until every URL is there and ready (default: %(default)s)",
    )
    verify.add_argument(
        "--latency",
        type=_argument(seconds(0, 3600)),
        default=0.5,
        metavar="SECONDS",
        help="above which median of ten requests to warn (default: %(default)s)",
    )
    verify.add_argument(
        "--certificate-days",
        type=_argument(integer(0, 3650)),
        default=14,
        metavar="DAYS",
        help="below which rest of the certificate's life to warn (default: %(default)s)",
    )
    verify.add_argument(
        "--timeout",
        type=_argument(seconds(0.01, 3600)),
        default=5.0,
        metavar="SECONDS",
        help="for one request (default: %(default)s)",
    )
    verify.add_argument(
        "--total-timeout",
        type=_argument(seconds(0.01, 3600)),
        default=60.0,
        metavar="SECONDS",
        help="for all requests together, without --wait (default: %(default)s)",
    )
    verify.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _argument(parse: Parse) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return read
